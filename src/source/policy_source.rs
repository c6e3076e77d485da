//! Where the policy comes from, and what it was made of last time.

use std::path::PathBuf;

use super::{LoadError, Loaded, Watched, built_in, load};
use crate::policy::{ListSource, Mode, Policy, Problem, Source};

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySource {
    /// The policy's file; none: the starter policy, inside the program.
    file: Option<PathBuf>,
    /// Whether it observes, whatever it says itself.
    observe: bool,
}

/// A policy that has compiled.
#[derive(Debug)]
pub struct Compiled {
    /// The policy.
    pub policy: Policy,
    /// What is doubtful in it: one line each, with its place.
    pub warnings: Vec<String>,
    /// What it was compiled from.
    pub loaded: Loaded,
}

/// The files that a policy was made of, and their state then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch(Vec<Watched>);

impl PolicySource {
    /// A file, and the lists that it names; without one, the starter policy.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, observe: false }
    }

    /// The same policy in observe mode, whatever it says itself.
    pub fn observing(self) -> Self {
        Self { observe: true, ..self }
    }

    /// How to name it to people.
    pub fn describe(&self) -> String {
        self.file.as_ref().map_or_else(|| "built in".to_owned(), |path| path.display().to_string())
    }

    /// Reads and compiles it. The files to watch are told also where that fails.
    ///
    /// Blocks: a million names take about half a second.
    pub fn load(&self) -> (Watch, Result<Compiled, Vec<String>>) {
        let loaded = match &self.file {
            None => built_in(),
            Some(path) => load(path),
        };
        match loaded {
            Ok(mut loaded) => {
                if self.observe {
                    loaded.document.mode = Mode::Observe;
                }
                let watch = Watch(loaded.files.clone());
                let mut compiled = compile(loaded);
                if let (None, Ok(compiled)) = (&self.file, &mut compiled) {
                    // Doubts about the program's own policy are its authors' to weigh, and they did.
                    compiled.warnings.clear();
                }
                (watch, compiled)
            }
            Err(LoadError { lines, files }) => (Watch(files), Err(lines)),
        }
    }
}

impl Compiled {
    /// What whoever runs it has to know of it, beside its warnings: one line each.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.warnings.clone();
        if self.policy.mode() == Mode::Observe {
            notices.push(
                "observe mode: what no rule allows passes and is recorded, and names that no rule lists are resolved, so \
                 that name servers learn of them"
                    .into(),
            );
        }
        notices
    }
}

impl Watch {
    /// The same files in their present state.
    pub(super) fn again(&self) -> Self {
        Self(self.0.iter().map(|watched| Watched::now(watched.path.clone())).collect())
    }

    /// Whether a file that both know looks different in the two.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        self.0.iter().any(|ours| other.0.iter().any(|theirs| ours.path == theirs.path && ours.stamp != theirs.stamp))
    }
}

fn compile(loaded: Loaded) -> Result<Compiled, Vec<String>> {
    let lists: Vec<_> = loaded.lists.iter().map(|text| ListSource { text }).collect();
    let source = Source { lists: &lists, content_hash: &loaded.content_hash };
    let lines =
        |problems: Vec<Problem>| problems.iter().map(|problem| loaded.source.render(problem)).collect::<Vec<_>>();
    match Policy::compile(&loaded.document, source) {
        Ok(compiled) => {
            let warnings = lines(compiled.warnings);
            Ok(Compiled { policy: compiled.policy, warnings, loaded })
        }
        Err(problems) => Err(lines(problems)),
    }
}
