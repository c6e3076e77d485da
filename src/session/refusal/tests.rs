//! The whole table, and that its keys are complete and distinct.

use std::collections::BTreeMap;

use super::RefusalKind;

/// `cause: status token outcome proxy-error socks-reply`, for each kind.
const TABLE: &str = "
address_not_allowed: 403 address_not_allowed denied destination_ip_prohibited 2
egress_disabled: 403 egress_disabled denied http_request_denied 2
egress_none: 403 egress_none denied http_request_denied 2
host_denied: 403 host_denied denied http_request_denied 2
host_not_allowed: 403 host_not_allowed denied http_request_denied 2
loop: 403 loop denied proxy_loop_detected 2
method_not_allowed: 403 method_not_allowed denied http_request_denied 2
not_tls: 403 not_tls denied http_request_denied 2
outside_period: 403 outside_period denied http_request_denied 2
port_not_allowed: 403 port_not_allowed denied http_request_denied 2
sni_mismatch: 403 sni_mismatch denied http_request_denied 2
sni_missing: 403 sni_missing denied http_request_denied 2
tool_not_allowed: 403 tool_not_allowed denied http_request_denied 2
bare_lf: 400 malformed_request malformed http_request_error 1
bare_cr: 400 malformed_request malformed http_request_error 1
empty_lines: 400 malformed_request malformed http_request_error 1
request_line: 400 malformed_request malformed http_request_error 1
status_line: 400 malformed_request malformed http_request_error 1
long_method: 501 unsupported malformed http_request_error 1
method_case: 501 unsupported malformed http_request_error 1
http_version: 505 unsupported malformed http_request_error 1
target_too_long: 414 malformed_request malformed http_request_error 1
head_too_large: 431 malformed_request malformed http_request_error 1
too_many_fields: 431 malformed_request malformed http_request_error 1
target_byte: 400 malformed_request malformed http_request_error 1
target_fragment: 400 malformed_request malformed http_request_error 1
target_form: 400 malformed_request malformed http_request_error 1
target_authority: 400 malformed_request malformed http_request_error 1
scheme: 501 unsupported malformed http_request_error 1
trace: 501 unsupported malformed http_request_error 1
folded_line: 400 malformed_request malformed http_request_error 1
blank_before_colon: 400 malformed_request malformed http_request_error 1
field_name: 400 malformed_request malformed http_request_error 1
field_value: 400 malformed_request malformed http_request_error 1
disguised_name: 400 malformed_request malformed http_request_error 1
missing_host: 400 malformed_request malformed http_request_error 1
repeated_host: 400 malformed_request malformed http_request_error 1
host_field: 400 malformed_request malformed http_request_error 1
length_and_encoding: 400 malformed_request malformed http_request_error 1
repeated_content_length: 400 malformed_request malformed http_request_error 1
content_length: 400 malformed_request malformed http_request_error 1
repeated_transfer_encoding: 400 malformed_request malformed http_request_error 1
transfer_encoding: 400 malformed_request malformed http_request_error 1
unknown_encoding: 501 unsupported malformed http_request_error 1
encoding_in_http10: 400 malformed_request malformed http_request_error 1
connect_body: 400 malformed_request malformed http_request_error 1
connection_options: 400 malformed_request malformed http_request_error 1
max_forwards: 400 malformed_request malformed http_request_error 1
expectation: 417 malformed_request malformed http_request_error 1
chunk_size: 400 malformed_request malformed http_request_error 1
large_chunk: 400 malformed_request malformed http_request_error 1
chunk_extension: 400 malformed_request malformed http_request_error 1
long_chunk_extensions: 400 malformed_request malformed http_request_error 1
chunk_end: 400 malformed_request malformed http_request_error 1
trailer_line: 400 malformed_request malformed http_request_error 1
large_trailers: 400 malformed_request malformed http_request_error 1
truncated_body: 400 malformed_request malformed http_request_error 1
socks_version: 400 malformed_request malformed http_request_error 1
socks_no_methods: 400 malformed_request malformed http_request_error 1
socks_command: 400 malformed_request malformed http_request_error 7
socks_reserved: 400 malformed_request malformed http_request_error 1
socks_address_type: 400 malformed_request malformed http_request_error 8
socks_host: 400 malformed_request malformed http_request_error 1
head_ended: 400 malformed_request malformed http_request_error 1
head_late: 408 request_timeout timeout http_request_error 1
body_late: 408 request_timeout timeout http_request_error 1
socks_not_spoken: 501 unsupported malformed http_request_error 1
http_not_spoken: 501 unsupported malformed http_request_error 1
socks_method: 400 malformed_request malformed http_request_error 1
socks_ended: 400 malformed_request malformed http_request_error 1
socks_late: 408 request_timeout timeout http_request_error 1
misdirected: 421 misdirected malformed http_request_error 1
misdirected_asterisk: 400 misdirected malformed http_request_error 1
cross_site: 403 cross_site malformed http_request_error 1
no_such_name: 502 dns_error unresolvable dns_error 4
no_addresses: 502 dns_error unresolvable dns_error 4
lookup_failed: 502 dns_error unresolvable dns_error 4
lookup_timeout: 504 dns_timeout unresolvable dns_timeout 6
max_lookups: 503 busy busy connection_limit_reached 1
max_lookups_per_client: 503 busy busy connection_limit_reached 1
connect_failed: 502 connection_refused unreachable connection_refused 3
connect_timeout: 504 connection_timeout unreachable connection_timeout 6
connect_refused: 502 connection_refused unreachable connection_refused 5
no_sockets: 503 busy busy connection_limit_reached 1
parent_unresolvable: 502 connection_refused unreachable connection_refused 1
parent_unreachable: 502 connection_refused unreachable connection_refused 1
parent_timeout: 504 connection_timeout unreachable connection_timeout 1
parent_credentials: 502 connection_refused unreachable connection_refused 1
parent_status: 502 connection_refused unreachable connection_refused 1
parent_closed: 502 connection_terminated unreachable connection_terminated 1
parent_response: 502 connection_terminated unreachable http_protocol_error 1
loop: 403 loop denied proxy_loop_detected 2
origin_closed: 502 connection_terminated origin_closed connection_terminated 1
origin_response: 502 connection_terminated origin_closed http_protocol_error 1
origin_silent: 504 connection_timeout timeout connection_read_timeout 1
max_tunnels: 503 busy busy connection_limit_reached 1
max_tunnels_per_client: 503 busy busy connection_limit_reached 1
max_dials: 503 busy busy connection_limit_reached 1
max_dials_per_client: 503 busy busy connection_limit_reached 1
record_unavailable: 503 record_unavailable busy proxy_internal_error 1
internal: 500 internal internal proxy_internal_error 1
";

#[test]
fn each_refusal_appears_as_it_is_documented() {
    let written = RefusalKind::all().into_iter().map(|kind| {
        let (cause, row) = (kind.cause(), kind.row());
        let (outcome, error, reply) = (row.outcome.as_str(), row.error.as_str(), row.reply.code());
        format!("{cause}: {} {} {outcome} {error} {reply}", row.status, row.token)
    });
    let expected: Vec<_> = TABLE.trim().lines().collect();
    assert_eq!(written.collect::<Vec<_>>(), expected);
}

#[test]
fn two_kinds_share_a_cause_only_where_they_are_the_same_refusal() {
    let mut by_cause = BTreeMap::new();
    for kind in RefusalKind::all() {
        if let Some(other) = by_cause.insert(kind.cause(), kind) {
            assert_eq!((other.row(), kind.cause()), (kind.row(), "loop"), "{other:?} {kind:?}");
        }
    }
}

#[test]
fn everything_but_a_denial_and_an_internal_fault_says_what_happened_in_a_clause() {
    for kind in RefusalKind::all() {
        match (kind, kind.detail()) {
            (RefusalKind::Denied(_) | RefusalKind::Internal, detail) => assert_eq!(detail, None, "{kind:?}"),
            (_, detail) => {
                let detail = detail.unwrap();
                assert!(!detail.is_empty() && !detail.ends_with('.') && !detail.contains('\n'), "{kind:?}: {detail}");
            }
        }
    }
}
