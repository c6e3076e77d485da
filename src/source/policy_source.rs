//! Where the policy comes from, and what it was made of last time.

use std::fmt;
use std::path::PathBuf;

use super::{LoadError, LoadedDocument, Watched, built_in, load};
use crate::policy::text::ProblemReport;
use crate::policy::{ListSource, Mode, Policy, Source};

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// The starter policy, inside the program.
    BuiltIn,
    /// A file, and the lists that it names.
    File(PathBuf),
}

/// A policy that has compiled.
#[derive(Debug)]
pub struct LoadedPolicy {
    /// The policy.
    pub policy: Policy,
    /// Warnings.
    pub warnings: ProblemReport,
    /// What it was compiled from.
    pub loaded: LoadedDocument,
}

/// The files that a policy was made of, and their state then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch(Vec<Watched>);

impl PolicySource {
    /// A file; without one, the starter policy.
    pub fn new(file: Option<PathBuf>) -> Self {
        file.map_or(Self::BuiltIn, Self::File)
    }

    /// Reads and compiles the policy. If `observe` is set, the policy is in observe mode regardless of its own mode.
    /// The files to watch are returned even if this fails.
    ///
    /// Blocks: a million names take about half a second.
    pub fn load(&self, observe: bool) -> (Watch, Result<LoadedPolicy, ProblemReport>) {
        let loaded = match self {
            Self::BuiltIn => built_in(),
            Self::File(path) => load(path),
        };
        match loaded {
            Ok(mut loaded) => {
                if observe {
                    loaded.document.mode = Mode::Observe;
                }
                let watch = Watch(loaded.files.clone());
                let mut compiled = compile(loaded);
                if let (Self::BuiltIn, Ok(compiled)) = (self, &mut compiled) {
                    // Warnings about the program's own policy are for its authors, and they have read them.
                    compiled.warnings = ProblemReport::default();
                }
                (watch, compiled)
            }
            Err(LoadError { report, files }) => (Watch(files), Err(report)),
        }
    }
}

impl fmt::Display for PolicySource {
    /// How people read of it: `built in`, or the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl LoadedPolicy {
    /// What its operator has to know: its warnings, and that it only observes. One line each.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.warnings.lines();
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

fn compile(loaded: LoadedDocument) -> Result<LoadedPolicy, ProblemReport> {
    let lists: Vec<_> = loaded.lists.iter().map(|text| ListSource { text: text.as_deref() }).collect();
    let source = Source { lists: &lists, content_hash: &loaded.content_hash };
    match Policy::compile(&loaded.document, source) {
        Ok(compiled) => {
            let warnings = ProblemReport::new(&loaded.source, compiled.warnings);
            Ok(LoadedPolicy { policy: compiled.policy, warnings, loaded })
        }
        Err(problems) => Err(ProblemReport::new(&loaded.source, problems)),
    }
}
