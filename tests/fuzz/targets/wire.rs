//! A head as a lax peer reads it: lines end at LF, punctuation in a name is a hyphen. Where our own strict reader finds
//! one message, this one must find the same.

/// A head that was written by us, by its lines.
#[derive(Debug)]
pub(super) struct LaxHead {
    /// Names in lower case with hyphens, values trimmed.
    fields: Vec<(String, Vec<u8>)>,
}

impl LaxHead {
    /// Reads all of `head`, which must be nothing but one head.
    #[track_caller]
    pub(super) fn read(head: &[u8]) -> Self {
        for (at, byte) in head.iter().enumerate() {
            match byte {
                b'\r' => assert_eq!(head.get(at + 1), Some(&b'\n'), "a bare CR at {at}"),
                b'\n' => assert!(at > 0 && head[at - 1] == b'\r', "a bare LF at {at}"),
                0 => panic!("a NUL at {at}"),
                _ => {}
            }
        }
        let end = head.windows(4).position(|window| window == b"\r\n\r\n").expect("an empty line");
        assert_eq!(end + 4, head.len(), "the head ends before its end");
        let lines = head[..end].split(|byte| *byte == b'\n').skip(1);
        let fields = lines.map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').expect("a colon in each line");
            let name = &line[..colon];
            assert!(!name.is_empty() && name.is_ascii() && !name.contains(&b' ') && !name.contains(&b'\t'), "{name:?}");
            (folded(name), line[colon + 1..].trim_ascii().to_vec())
        });
        Self { fields: fields.collect() }
    }

    /// All values of a field.
    pub(super) fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// How many fields' names begin so.
    pub(super) fn count_prefix(&self, prefix: &str) -> usize {
        self.fields.iter().filter(|(name, _)| name.starts_with(prefix)).count()
    }
}

/// A name in lower case, with hyphens for all that is no letter or digit, as CGI has underscores (RFC 3875 §4.1.18).
pub(super) fn folded(name: &[u8]) -> String {
    let fold = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase().into() } else { '-' };
    name.iter().map(fold).collect()
}
