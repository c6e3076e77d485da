//! What is kept of the head of a request that is forwarded.

use std::fmt;

use super::head::{self, BodyFraming, OriginHop, RequestHead, Upgrade, Version};
use super::listener_context::ListenerContext;
use super::reply::{Delivery, Form};
use crate::enforce::ReceivedRequest;
use crate::facts::{self, Credentials, Destination, Identity, Method, NextHop, Protocol};
use crate::session::FirstBytes;
use crate::stream::spare;

/// Room for the head of nearly every request.
const USUAL_HEAD: usize = 512;

/// Everything that is kept of a request head once its bytes are gone.
#[derive(Debug)]
pub(super) struct ForwardedRequest {
    form: Form,
    /// The head for the origin, sanitised.
    head: Vec<u8>,
    /// The head for the parent proxy, if the request may go through it.
    parent_head: Option<ParentHead>,
    pub(super) method: Method,
    pub(super) framing: BodyFraming,
    pub(super) client_version: Version,
    pub(super) keep_alive: bool,
    /// Whether another request may follow on the connection that this one goes out by.
    pub(super) may_share: bool,
    /// What the origin may switch to.
    pub(super) upgrade: Option<facts::Upgrade>,
}

/// A head with the parent proxy's credentials in it: never shown, and sent to the parent proxy only.
struct ParentHead(Vec<u8>);

impl fmt::Debug for ParentHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParentHead(hidden)")
    }
}

impl ForwardedRequest {
    /// What is kept of the head, and the request as the policy judges it.
    pub(super) fn of(
        head: &RequestHead<'_>,
        destination: &Destination,
        passed_through_us: bool,
        context: &ListenerContext,
        form: Form,
    ) -> (Self, ReceivedRequest) {
        let mut request = Self {
            form,
            head: Vec::new(),
            parent_head: None,
            method: Method::new(head.method),
            framing: head.framing,
            client_version: head.version,
            keep_alive: head.keep_alive,
            may_share: !head.has_stray_body(),
            upgrade: match head.upgrade {
                Some(Upgrade::WebSocket) => Some(facts::Upgrade::WebSocket),
                Some(Upgrade::Other) | None => None,
            },
        };
        request.write_heads(head, destination, context);
        let received = ReceivedRequest {
            // A head proves nothing in this version.
            identity: Identity::Anonymous,
            protocol: Protocol::Http,
            destination: destination.clone(),
            method: Some(request.method.clone()),
            upgrade: request.upgrade,
            path: Some(head.path().into()),
            passed_through_us,
        };
        (request, received)
    }

    fn write_heads(&mut self, head: &RequestHead<'_>, destination: &Destination, context: &ListenerContext) {
        let hop = OriginHop { via: &context.via, keep_alive: self.may_share, expect: true };
        self.parent_head = context.enforcer.forwards_to(destination, self.upgrade).map(|parent| {
            let mut out = Vec::with_capacity(USUAL_HEAD);
            head::write_request_to_proxy(head, &hop, parent.credentials().map(Credentials::reveal), &mut out);
            ParentHead(out)
        });
        spare::make_room(&mut self.head, USUAL_HEAD);
        head::write_request(head, &hop, &mut self.head);
    }

    /// The head to send to the next hop. The one with credentials goes to the parent proxy only.
    pub(super) fn head_for(&self, next_hop: NextHop) -> &[u8] {
        match (next_hop, &self.parent_head) {
            (NextHop::Parent, Some(ParentHead(head))) => head,
            (NextHop::Parent, None) | (NextHop::Origin, _) => &self.head,
        }
    }

    /// Whether it may be sent a second time when a reused connection turns out to be dead (RFC 9110 §9.2.1, §9.2.2).
    pub(super) fn is_repeatable(&self) -> bool {
        self.framing == BodyFraming::None && matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// What is known of its first bytes, sent over a connection that was used before or not.
    pub(super) fn first_bytes(&self, reusing: bool) -> FirstBytes {
        FirstBytes::Request { may_be_judged_again: self.upgrade.is_some() || (reusing && self.is_repeatable()) }
    }

    /// How to refuse it. An unread body would be taken for the next request, so then the connection closes.
    pub(super) fn delivery(&self) -> Delivery {
        let keep_alive = self.keep_alive && self.framing == BodyFraming::None;
        Delivery { form: self.form, keep_alive, head_only: self.method.as_str() == "HEAD" }
    }
}

impl Drop for ForwardedRequest {
    fn drop(&mut self) {
        spare::give(std::mem::take(&mut self.head));
    }
}
