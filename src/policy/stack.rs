//! The policies in force together.
//!
//! Guaranteed: a stack has at least one layer. A request passes only if every layer allows it; of several layers that deny
//! it, the first one is cited. So a layer can only narrow what the others allow.
//!
//! Deliberately not here: deciding (`decide`) and reading policies (`source`, which reads one in this version).

use std::sync::Arc;
use std::time::SystemTime;

use super::{Egress, Mode, Policy};

/// One or more policies, the widest first: the organisation's before a team's, a team's before a machine's. Immutable;
/// requests ask it through a [`Snapshot`](super::Snapshot).
#[derive(Debug)]
pub struct Stack {
    first: Policy,
    others: Box<[Policy]>,
    /// The revisions of all layers.
    revision: Arc<str>,
    /// What records say of each layer.
    labels: Box<[Arc<LayerLabel>]>,
}

/// What a record says of a layer, and keeps when the stack is gone.
#[derive(Debug)]
pub(super) struct LayerLabel {
    /// The name, where there is more than one layer to tell apart.
    pub(super) name: Option<Arc<str>>,
    pub(super) revision: Arc<str>,
}

/// Which layer of a stack; only meaningful together with that stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LayerIndex(usize);

impl LayerIndex {
    /// The layer that is reported when the reason does not belong to a particular layer.
    pub(super) const FIRST: Self = Self(0);
}

impl Stack {
    /// A stack of these layers.
    pub fn new(first: Policy, others: Vec<Policy>) -> Self {
        let mut revision = Arc::clone(&first.revision);
        for layer in &others {
            revision = format!("{revision}+{}", layer.revision()).into();
        }
        let label = |layer: &Policy| {
            let name = (!others.is_empty()).then(|| Arc::clone(&layer.name));
            Arc::new(LayerLabel { name, revision: Arc::clone(&layer.revision) })
        };
        let labels = std::iter::once(&first).chain(&others).map(label).collect();
        Self { first, others: others.into_boxed_slice(), revision, labels }
    }

    /// Every layer, the widest first.
    pub fn layers(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Every layer with its index.
    pub(super) fn indexed(&self) -> impl Iterator<Item = (LayerIndex, &Policy)> {
        self.layers().enumerate().map(|(index, layer)| (LayerIndex(index), layer))
    }

    pub(super) fn layer(&self, index: LayerIndex) -> &Policy {
        match index.0.checked_sub(1) {
            None => &self.first,
            #[expect(clippy::indexing_slicing, reason = "`indexed` gives out indices of this very slice and no others")]
            Some(other) => &self.others[other],
        }
    }

    /// What records say of the layer.
    #[expect(clippy::indexing_slicing, reason = "there is a label for each layer")]
    pub(super) fn label(&self, index: LayerIndex) -> &Arc<LayerLabel> {
        &self.labels[index.0]
    }

    /// The layer's name, where there is more than one to tell apart.
    pub(super) fn layer_name(&self, index: LayerIndex) -> Option<&str> {
        self.label(index).name.as_deref()
    }

    /// The name of the first layer, which is the organisation's.
    pub fn name(&self) -> &str {
        self.first.name()
    }

    /// The revision; of several layers, all revisions with a `+` between them.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whom to ask: the contact of the first layer that has one.
    pub fn contact(&self) -> Option<&str> {
        self.layers().find_map(Policy::contact)
    }

    /// [`Mode::Observe`] if any layer only observes.
    pub fn mode(&self) -> Mode {
        let observes = self.layers().any(|layer| layer.mode() == Mode::Observe);
        if observes { Mode::Observe } else { Mode::Enforce }
    }

    /// Whether egress is switched on in every layer.
    pub fn enabled(&self) -> bool {
        self.layers().all(Policy::enabled)
    }

    /// The narrowest egress of all layers.
    pub fn egress(&self) -> Egress {
        self.layers().map(Policy::egress).min().unwrap_or(Egress::None)
    }

    /// How many rules are in force, in all layers.
    pub fn rule_count(&self) -> usize {
        self.layers().map(Policy::rule_count).sum()
    }

    /// The next time after `t` at which a rule begins or ends.
    pub fn next_change_after(&self, t: SystemTime) -> Option<SystemTime> {
        self.layers().filter_map(|layer| layer.next_change_after(t)).min()
    }

    /// Whether a rule began or ended between a time and now, as [`Policy::changes_since`].
    pub fn changes_since(&self, t: SystemTime, clock: impl Fn() -> SystemTime) -> bool {
        self.layers().any(|layer| layer.changes_since(t, &clock))
    }
}

impl From<Policy> for Stack {
    fn from(policy: Policy) -> Self {
        Self::new(policy, Vec::new())
    }
}
