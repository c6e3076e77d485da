//! Why a database does not serve.

use rusqlite::ErrorCode;

use crate::record::RowError;

/// Why a database does not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseFault {
    /// It is not ours, and stays as it is.
    #[error("{0}")]
    Foreign(String),
    /// Its content is broken.
    #[error("{0}")]
    Damaged(String),
    /// Not now: locked, read-only, no room.
    #[error("{0}")]
    Unavailable(String),
    /// Its file was moved or deleted.
    #[error("it was moved or deleted")]
    Moved,
}

impl From<RowError> for DatabaseFault {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Later(_) => Self::Foreign(error.to_string()),
            RowError::Sql(error) => error.into(),
        }
    }
}

impl From<rusqlite::Error> for DatabaseFault {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _)
                if matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
            {
                Self::Damaged(error.to_string())
            }
            // A column that does not hold what it must is damage as well.
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => Self::Damaged(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
