//! Why the head of a message is refused. Each text is a clause that fits after a colon.

use super::{HostError, tokens};

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// LF without CR before it (RFC 9112 §2.2 permits a recipient to accept it; peers that do not see another message).
    #[error("a line of the head ends in LF without CR")]
    BareLf,
    /// CR without LF after it.
    #[error("the head contains CR without LF")]
    BareCr,
    /// More than the one empty line that RFC 9112 §2.2 asks to tolerate before a request; any before a response.
    #[error("empty lines stand before the message")]
    EmptyLines,
    /// Not `method SP target SP version`.
    #[error("the request line is not method, target and version with one blank between them")]
    RequestLine,
    /// Not `version SP status [SP reason]`.
    #[error("the status line is not version, three digits and a reason")]
    StatusLine,
    /// No method has that many bytes.
    #[error("the method is longer than any that exists")]
    LongMethod,
    /// `Connect` or `get`: another method to us (RFC 9110 §9.1), the same to some proxies and origins.
    #[error("the method differs from a registered one only by case")]
    MethodCase,
    /// A version other than 1.0 and 1.1.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// The head would end beyond the limit, and the limit fell into the request line.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head would end beyond the limit.
    #[error("the head is too large")]
    HeadTooLarge,
    /// More field lines than the limit.
    #[error("the head has too many fields")]
    TooManyFields,
    /// A control, a blank or a byte beyond ASCII in the target, or a backslash where browsers read it as a slash.
    #[error("the target contains the byte 0x{0:02x}, which no target has")]
    TargetByte(u8),
    /// A fragment is never sent (RFC 9112 §3.2).
    #[error("the target has a fragment")]
    Fragment,
    /// None of the four forms, or not the one that the method needs.
    #[error("the target has no form that this method can have")]
    TargetForm,
    /// The target's authority is not a host and port.
    #[error("in the target, {0}")]
    Authority(HostError),
    /// A scheme other than `http` in absolute-form. `https` needs CONNECT.
    #[error("only http:// is forwarded in this form, other schemes need CONNECT")]
    Scheme,
    /// TRACE shows a page what it should not see, credentials among it; it has no common use.
    #[error("TRACE is not forwarded")]
    Trace,
    /// A line that starts with a blank: folded (RFC 9112 §5.2), or smuggled before the first field.
    #[error("a field line starts with a blank")]
    FoldedLine,
    /// A blank between name and colon (RFC 9112 §5.1).
    #[error("there is a blank before the colon of a field")]
    BlankBeforeColon,
    /// The line has no colon or no name, or the name is not a token.
    #[error("a field line has no valid name")]
    FieldName,
    /// NUL or another control byte.
    #[error("a field value contains a control byte")]
    FieldValue,
    /// `Content_Length` or `Content.Length`: another field to us, the same to some CGI-style origins.
    #[error("a framing field is written with another character in place of its hyphen")]
    DisguisedName,
    /// HTTP/1.1 without `Host` (RFC 9112 §3.2).
    #[error("the Host field is missing")]
    MissingHost,
    /// More than one.
    #[error("there is more than one Host field")]
    RepeatedHost,
    /// A `Host` field that is not a host and port.
    #[error("in the Host field, {0}")]
    Host(HostError),
    /// Both framings (RFC 9112 §6.1).
    #[error("there are both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// More than one, equal or not.
    #[error("there is more than one Content-Length")]
    RepeatedLength,
    /// Not plain digits, or beyond 63 bits.
    #[error("the Content-Length is not a plain number")]
    Length,
    /// More than one.
    #[error("there is more than one Transfer-Encoding")]
    RepeatedCoding,
    /// Not exactly `chunked`, and not a list that ends in it either.
    #[error("the Transfer-Encoding is not chunked")]
    Coding,
    /// A well-formed list of other codings that ends in `chunked`: legal, not built (RFC 9112 §6.1).
    #[error("the Transfer-Encoding has a coding other than chunked")]
    UnknownCoding,
    /// HTTP/1.0 knows no codings (RFC 9112 §6.1).
    #[error("an HTTP/1.0 message has a Transfer-Encoding")]
    CodingInHttp10,
    /// A CONNECT has no content (RFC 9110 §9.3.6).
    #[error("a CONNECT announces a body")]
    ConnectBody,
    /// More connection options than anyone sends; each costs a look at each field.
    #[error("the Connection field is too long")]
    ConnectionOptions,
    /// Repeated, or no number, on a method for which it counts.
    #[error("the Max-Forwards field is not one number")]
    MaxForwards,
    /// Anything but one `100-continue`.
    #[error("the Expect field asks for something other than 100-continue")]
    Expectation,
}

tokens! { HeadError, cause:
    BareLf => "bare_lf",
    BareCr => "bare_cr",
    EmptyLines => "empty_lines",
    RequestLine => "request_line",
    StatusLine => "status_line",
    LongMethod => "long_method",
    MethodCase => "method_case",
    Version => "http_version",
    TargetTooLong => "target_too_long",
    HeadTooLarge => "head_too_large",
    TooManyFields => "too_many_fields",
    TargetByte(0) => "target_byte",
    Fragment => "target_fragment",
    TargetForm => "target_form",
    Authority(HostError::Empty) => "target_authority",
    Scheme => "scheme",
    Trace => "trace",
    FoldedLine => "folded_line",
    BlankBeforeColon => "blank_before_colon",
    FieldName => "field_name",
    FieldValue => "field_value",
    DisguisedName => "disguised_name",
    MissingHost => "missing_host",
    RepeatedHost => "repeated_host",
    Host(HostError::Empty) => "host_field",
    LengthAndCoding => "length_and_encoding",
    RepeatedLength => "repeated_content_length",
    Length => "content_length",
    RepeatedCoding => "repeated_transfer_encoding",
    Coding => "transfer_encoding",
    UnknownCoding => "unknown_encoding",
    CodingInHttp10 => "encoding_in_http10",
    ConnectBody => "connect_body",
    ConnectionOptions => "connection_options",
    MaxForwards => "max_forwards",
    Expectation => "expectation",
}
