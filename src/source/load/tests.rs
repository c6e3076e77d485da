use std::fs;
use std::os::unix::fs::symlink;

use super::super::PolicySource;
use super::*;

const POLICY: &str = "version = 1\nname = \"test\"\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, bytes) in files {
            fs::create_dir_all(folder.at(name).parent().unwrap()).unwrap();
            fs::write(folder.at(name), bytes).unwrap();
        }
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, name: &str) -> LoadedDocument {
        load(&self.at(name)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The lines that a user sees, without the folder.
    fn errors(&self, name: &str) -> Vec<String> {
        let prefix = format!("{}/", self.0.path().display());
        let source = PolicySource::File(self.at(name));
        source.load(false).1.unwrap_err().lines().iter().map(|line| line.replace(&prefix, "")).collect()
    }
}

fn list(more: &str) -> String {
    format!("{POLICY}[[list]]\neffect = \"deny\"\nfile = \"lists/bad.txt\"\ncovers = \"exact\"\n{more}\n")
}

#[test]
fn a_policy_is_read_with_its_lists() {
    let policy = list("lines = 2");
    let folder =
        Folder::with(&[("policy.toml", policy.as_bytes()), ("lists/bad.txt", b"a.test\n# b.test\n\nc.test # c")]);
    let loaded = folder.load("policy.toml");
    assert_eq!(loaded.document.name, "test");
    assert_eq!(loaded.source.text(), policy);
    assert_eq!(loaded.lists, [Ok(b"a.test\n# b.test\n\nc.test # c".to_vec())]);
    let paths: Vec<_> = loaded.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(paths, [folder.at("policy.toml"), folder.at("lists/bad.txt")]);
    assert!(loaded.files.iter().all(|file| !file.has_changed()));
    fs::write(folder.at("lists/bad.txt"), "d.test").unwrap();
    assert!(loaded.files[1].has_changed());
    let problem = Complaint::new(ProblemCode::Syntax, "no", "yes").at(ProblemPlace::List { list: 0, line: 3 });
    assert_eq!(
        loaded.source.located(&problem).to_string(),
        format!("{}:3: no; yes", folder.at("lists/bad.txt").display())
    );
}

#[test]
fn json_is_known_by_its_extension_and_other_formats_are_refused() {
    let json = br#"{"version": 1, "name": "test"}"#;
    let folder = Folder::with(&[
        ("policy.json", json),
        ("policy.yaml", b"version: 1"),
        ("policy.yml", b"version: 1"),
        ("policy", POLICY.as_bytes()),
        ("policy.toml.bak", POLICY.as_bytes()),
        ("wrong.toml", json),
    ]);
    assert_eq!(folder.load("policy.json").document.name, "test");
    for (name, line) in [
        ("policy.yaml", "policy.yaml: YAML is not supported in this version; write the policy as .toml or .json"),
        ("policy.yml", "policy.yml: YAML is not supported in this version; write the policy as .toml or .json"),
        ("policy", "policy: its name does not say how it is written; let it end in .toml or .json"),
        ("policy.toml.bak", "policy.toml.bak: its name does not say how it is written; let it end in .toml or .json"),
    ] {
        assert_eq!(folder.errors(name), [line]);
    }
    assert!(folder.errors("wrong.toml")[0].starts_with("wrong.toml:1:"));
}

#[test]
fn a_file_that_cannot_be_a_policy_is_one_clear_line() {
    let folder = Folder::with(&[
        ("empty.toml", b""),
        ("latin.toml", b"version = 1\nname = \"caf\xe9\"\n"),
        ("folder.toml/a", b""),
    ]);
    symlink("/dev/zero", folder.at("device.toml")).unwrap();
    for (name, line) in [
        ("missing.toml", "missing.toml: there is no such file; check the path"),
        ("empty.toml", "empty.toml: it is empty; check that it was written"),
        ("folder.toml", "folder.toml: it is a folder; name a file in it"),
        ("device.toml", "device.toml: it is a pipe, a socket or a device; name a regular file"),
        ("latin.toml", "latin.toml:2:12: the byte 0xe9 at offset 23 is not UTF-8; save the file in UTF-8"),
    ] {
        assert_eq!(folder.errors(name), [line]);
    }
    let large = fs::File::create(folder.at("large.toml")).unwrap();
    large.set_len(MAX_POLICY + 1).unwrap();
    assert_eq!(folder.errors("large.toml"), ["large.toml: it is larger than 64 MiB; check that it is the right file"]);
}

#[test]
fn a_missing_policy_is_waited_for() {
    let folder = Folder::with(&[]);
    let error = load(&folder.at("policy.toml")).unwrap_err();
    assert!(!error.files[0].has_changed());
    fs::write(folder.at("policy.toml"), POLICY).unwrap();
    assert!(error.files[0].has_changed());
}

#[test]
fn all_that_is_wrong_with_lists_is_said_at_once() {
    let policy = format!(
        "{}{}{}",
        list("lines = 3\nsha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""),
        "[[list]]\neffect = \"deny\"\nfile = \"missing.txt\"\ncovers = \"exact\"\n",
        "[[list]]\neffect = \"deny\"\nfile = \"empty.txt\"\ncovers = \"exact\"\n"
    );
    let folder =
        Folder::with(&[("policy.toml", policy.as_bytes()), ("lists/bad.txt", b"a.test\n"), ("empty.txt", b"")]);
    assert_eq!(
        folder.errors("policy.toml"),
        [
            "policy.toml:7:9: the number of names in the list's file is 1, not 3; get the right file, or correct this",
            "policy.toml:8:10: the list's file is another one, its SHA-256 is 5f0f8175e59f623c3016f1ab6162b8a1118702ee5b1bb773b1dad2969ddd7857; get the right file, or correct this",
            "policy.toml:11:8: the list's file cannot be used: there is no such file; check the path",
            "policy.toml:15:8: the list's file cannot be used: it is empty; check that it was written",
        ]
    );
    let loaded = folder.load("policy.toml");
    fs::write(folder.at("missing.txt"), "b.test").unwrap();
    let changed: Vec<_> = loaded.files.iter().filter(|file| file.has_changed()).map(|file| file.path.clone()).collect();
    assert_eq!(changed, [folder.at("missing.txt")], "the missing list is waited for");
}

#[test]
fn the_hash_is_of_all_that_was_read() {
    let plain = Folder::with(&[("policy.toml", POLICY.as_bytes())]);
    assert_eq!(plain.load("policy.toml").content_hash, hex(&Sha256::digest(POLICY)), "as sha256sum prints it");
    let policy = list("");
    let hash = |names: &[u8]| {
        let folder = Folder::with(&[("policy.toml", policy.as_bytes()), ("lists/bad.txt", names)]);
        folder.load("policy.toml").content_hash
    };
    assert_eq!(hash(b"a.test"), hash(b"a.test"));
    assert_ne!(hash(b"a.test"), hash(b"b.test"));
    assert_ne!(hash(b"a.test"), hex(&Sha256::digest(&policy)));
}

#[test]
fn names_are_counted_by_the_lists_format() {
    for (text, domains, hosts) in [
        ("", 0, 0),
        ("a.test", 1, 0),
        ("a.test\nb.test\n", 2, 0),
        ("a.test\r\n\r\n# c\r\nb.test\r\n", 2, 0),
        ("0.0.0.0 a.test b.test # c\n\n::1\tc.test\n", 2, 3),
    ] {
        assert_eq!(count_names(text.as_bytes(), ListFormat::Domains), domains, "{text:?}");
        assert_eq!(count_names(text.as_bytes(), ListFormat::Hosts), hosts, "{text:?}");
    }
}

#[test]
fn a_swapped_folder_is_read_as_one() {
    let policy = list("");
    let folder = Folder::with(&[
        ("one/policy.toml", policy.as_bytes()),
        ("one/lists/bad.txt", b"one.test"),
        ("two/policy.toml", policy.as_bytes()),
        ("two/lists/bad.txt", b"two.test"),
    ]);
    symlink("one", folder.at("now")).unwrap();
    let first = folder.load("now/policy.toml");
    assert_eq!(first.lists, [Ok(b"one.test".to_vec())]);
    symlink("two", folder.at("next")).unwrap();
    fs::rename(folder.at("next"), folder.at("now")).unwrap();
    assert!(first.files.iter().all(Watched::has_changed));
    assert_eq!(folder.load("now/policy.toml").lists, [Ok(b"two.test".to_vec())]);
}
