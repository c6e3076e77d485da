//! What a record keeps of a decision: which rule of which layer and revision.

use std::fmt;
use std::sync::Arc;

use super::decision::RuleIndex;
use super::stack::{LayerIndex, LayerLabel};
use super::{Denial, Permit, Snapshot};

/// A rule and a revision, to be named in a record.
///
/// On the request path it is a handle, so that nothing is copied and no counter is touched that other workers touch.
/// [`Cited::detach`] makes it text, so that what is kept of a request does not keep its policy.
#[derive(Clone, Default)]
pub struct Cited(CitedFrom);

#[derive(Clone, Default)]
enum CitedFrom {
    /// The request was not judged.
    #[default]
    NotJudged,
    Policy {
        snapshot: Snapshot,
        layer: LayerIndex,
        rule: Option<RuleIndex>,
    },
    Text {
        layer: Arc<LayerLabel>,
        rule: Option<Arc<str>>,
    },
}

impl Cited {
    pub(super) fn new(snapshot: Snapshot, layer: LayerIndex, rule: Option<RuleIndex>) -> Self {
        Self(CitedFrom::Policy { snapshot, layer, rule })
    }

    /// Fixed texts, for tests of what reads records.
    #[cfg(test)]
    pub(crate) fn text(rule: Option<&str>, revision: &str) -> Self {
        Self(CitedFrom::Text {
            layer: Arc::new(LayerLabel { name: None, revision: revision.into() }),
            rule: rule.map(Into::into),
        })
    }

    /// The rule's id.
    pub fn rule(&self) -> Option<&str> {
        match &self.0 {
            CitedFrom::NotJudged => None,
            CitedFrom::Policy { snapshot, layer, rule } => rule.map(|rule| snapshot.layer(*layer).rule(rule).id()),
            CitedFrom::Text { rule, .. } => rule.as_deref(),
        }
    }

    /// The name of the layer, where there is more than one.
    pub fn layer(&self) -> Option<&str> {
        match &self.0 {
            CitedFrom::NotJudged => None,
            CitedFrom::Policy { snapshot, layer, .. } => snapshot.layer_name(*layer),
            CitedFrom::Text { layer, .. } => layer.name.as_deref(),
        }
    }

    /// The layer's revision; empty where no policy was asked.
    pub fn revision(&self) -> &str {
        match &self.0 {
            CitedFrom::NotJudged => "",
            CitedFrom::Policy { snapshot, layer, .. } => snapshot.layer(*layer).revision(),
            CitedFrom::Text { layer, .. } => &layer.revision,
        }
    }

    /// Lets go of the policy and keeps its words.
    pub fn detach(&mut self) {
        if let CitedFrom::Policy { snapshot, layer, rule } = &self.0 {
            let rule = rule.map(|rule| snapshot.layer(*layer).rule(rule).shared_id());
            self.0 = CitedFrom::Text { layer: Arc::clone(snapshot.label(*layer)), rule };
        }
    }
}

impl fmt::Debug for Cited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cited").field("rule", &self.rule()).field("revision", &self.revision()).finish()
    }
}

impl From<&Permit> for Cited {
    fn from(permit: &Permit) -> Self {
        permit.cited()
    }
}

impl From<&Denial> for Cited {
    fn from(denial: &Denial) -> Self {
        denial.cited()
    }
}
