//! Which sinks there are.

/// What takes records: one row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// The last lines, in memory.
    Memory,
    /// A file of JSON Lines.
    Jsonl,
    /// A SQLite database.
    Sqlite,
    /// Standard error.
    Terminal,
    /// Whoever reads lines as they come.
    Followers,
}

impl SinkKind {
    /// Every kind, in the order in which lines are handed to them.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Jsonl, Self::Sqlite, Self::Terminal, Self::Followers];

    /// The stable token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Jsonl => "jsonl",
            Self::Sqlite => "sqlite",
            Self::Terminal => "terminal",
            Self::Followers => "followers",
        }
    }
}
