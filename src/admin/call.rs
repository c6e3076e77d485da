//! A request that was let in, as its handler gets it.

use std::sync::Arc;

use super::answer::ApiError;
use super::context::AdminContext;

/// One request to one route.
pub(super) struct Call {
    pub(super) context: Arc<AdminContext>,
    pub(super) query: Query,
    /// What follows the route's path, where that ends with a name: the id of a tunnel.
    pub(super) name: String,
}

/// The fields of a query string, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark.
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    pub(super) fn number(&self, name: &str, default: usize) -> Result<usize, ApiError> {
        self.get(name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| ApiError::bad_request(format!("`{name}` is not a number")))
        })
    }
}
