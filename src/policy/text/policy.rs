//! The tree read into a [`PolicyDocument`].

use super::policy_keys::{
    ADDRESSES, ALLOW, CONTACT, COVERS, COVERS_KEY, DENY, EFFECT, EFFECTS, EGRESS, EGRESS_KEY, ENABLED, EXPECT, FILE,
    FORMAT, FORMATS, FROM, ID, INTERNAL, LINES, LIST_EFFECT, LISTS, METHODS, MODE, MODES, NAME, PACKAGE_MANAGERS,
    PARENT, POLICY, PORTS, REASON, REVISION, RULES, SHA256, TEST_REASON, TEST_TO, TESTS, TLS, TLS_KEY, TO, TOOL, TOOLS,
    UNTIL, VERSION,
};
use super::reader::wrong;
use super::{Fields, Format, Member, Node, Problems, Spanned, Value};
use crate::policy::{
    Covers, Effect, Egress, ListDocument, ListFormat, Mode, PolicyDocument, PortsDocument, ProblemCode, RuleDocument,
    TestDocument, Tls,
};

/// Used instead of a policy's name in sentences such as "blocked by the egress policy of …".
const UNNAMED: &str = "this organisation";

/// Reads a policy. The document carries everything that is wrong with its keys and their values; compiling it adds what is
/// wrong with their meaning.
///
/// # Errors
/// Everything that is wrong with the syntax, or the one thing that says that nothing else can be read: another version, or
/// no table at all; never an empty list.
pub fn read_policy(text: &str, format: Format) -> Result<PolicyDocument, Problems> {
    let mut problems = Problems::default();
    let document = format.parse(text, &mut problems).and_then(|node| {
        refuse_other_version(&node, &mut problems)?;
        let fields = Fields::open(&node, &POLICY, &mut problems)?;
        Some(read(fields, &mut problems))
    });
    match document {
        Some(document) => Ok(PolicyDocument { problems, ..document }),
        None => Err(problems.sorted()),
    }
}

/// A document of another version has other keys: what else looks wrong with it may not be.
fn refuse_other_version(node: &Node, problems: &mut Problems) -> Option<()> {
    let Value::Table(entries) = &node.value else { return Some(()) };
    let version = entries.iter().find(|entry| entry.name.value == VERSION.name);
    match version {
        Some(Member { value: Node { value: Value::Integer(number), span }, .. }) if *number != 1 => {
            let what = format!("this policy is of version {number} of the schema, and this program reads version 1");
            problems.at(
                *span,
                ProblemCode::UnsupportedVersion,
                what,
                "write version = 1, or use a program that reads the other",
            );
            None
        }
        _ => Some(()),
    }
}

fn read(policy: Fields<'_>, problems: &mut Problems) -> PolicyDocument {
    policy.count(&VERSION, problems);
    PolicyDocument {
        name: policy.text(&NAME, problems).map_or_else(|| UNNAMED.into(), |name| name.value),
        revision: policy.text(&REVISION, problems).map(|revision| revision.value),
        enabled: policy.flag(&ENABLED, problems).unwrap_or(true),
        egress: policy.choice(&EGRESS_KEY, &EGRESS, problems).unwrap_or(Egress::Allowlist),
        mode: policy.choice(&MODE, &MODES, problems).unwrap_or(Mode::Enforce),
        contact: policy.text(&CONTACT, problems).map(|contact| contact.value),
        allow: policy.texts(&ALLOW, problems),
        deny: policy.texts(&DENY, problems),
        package_managers: policy.texts(&PACKAGE_MANAGERS, problems),
        internal_addresses: policy.texts(&INTERNAL, problems),
        rules: policy
            .tables(&RULES, problems)
            .into_iter()
            .enumerate()
            .map(|(index, rule)| read_rule(rule, index + 1, problems))
            .collect(),
        lists: policy.tables(&LISTS, problems).into_iter().filter_map(|list| read_list(list, problems)).collect(),
        tests: policy.tables(&TESTS, problems).into_iter().map(|test| read_test(test, problems)).collect(),
        problems: Problems::default(),
    }
}

// Where a required value is missing or wrong, the problem is noted and something harmless takes its place: the document
// never becomes a policy, and what is put here must not look like a second mistake.

fn read_rule(rule: Fields<'_>, position: usize, problems: &mut Problems) -> RuleDocument {
    RuleDocument {
        span: rule.span(),
        id: rule
            .text(&ID, problems)
            .unwrap_or_else(|| Spanned { value: format!("rule:{position}"), span: rule.span() }),
        effect: rule.choice(&EFFECT, &EFFECTS, problems).unwrap_or(Effect::Deny),
        to: rule.some_texts(&TO, "name a destination, or remove the rule", problems),
        ports: read_ports(rule, problems),
        tools: rule.some_texts(&TOOLS, "name a listener, or leave the key out for any tool", problems),
        methods: rule.some_texts(&METHODS, "name a method, or leave the key out for any", problems),
        addresses: rule.texts(&ADDRESSES, problems),
        tls: rule.choice(&TLS_KEY, &TLS, problems).unwrap_or(Tls::Required),
        parent: rule.flag(&PARENT, problems).unwrap_or(false),
        from: rule.time(&FROM, problems),
        until: rule.time(&UNTIL, problems),
        reason: rule.text(&REASON, problems).map(|reason| reason.value),
    }
}

fn read_ports(rule: Fields<'_>, problems: &mut Problems) -> Option<PortsDocument> {
    const MUST: &str = "\"any\" or a list of ports";
    let node = rule.node(&PORTS)?;
    match &node.value {
        Value::String(text) if text == "any" => Some(PortsDocument::Any),
        Value::Array(nodes) if nodes.is_empty() => {
            let fix = "name a port, write \"any\", or leave the key out for 80 and 443";
            problems.at(node.span, ProblemCode::EmptyValue, "`ports` is an empty list", fix);
            None
        }
        Value::Array(_) => Some(PortsDocument::These(rule.list(&PORTS, MUST, read_port, problems))),
        Value::Integer(port) => {
            wrong(&PORTS, node, MUST, &format!("put it in brackets: [{port}]"), problems);
            None
        }
        _ => {
            wrong(&PORTS, node, MUST, "write it as [443], [443, \"8000-8100\"] or \"any\"", problems);
            None
        }
    }
}

fn read_port(node: &Node, problems: &mut Problems) -> Option<Spanned<(u16, u16)>> {
    let port = |text: &str| {
        let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        if plain { text.parse::<u16>().ok() } else { None }
    };
    let range = match &node.value {
        Value::Integer(number) => u16::try_from(*number).ok().filter(|number| *number > 0).map(|port| (port, port)),
        Value::String(text) => match text.split_once('-') {
            Some((low, high)) => port(low.trim()).zip(port(high.trim())),
            None => {
                if port(text).is_some() {
                    let what = format!("an entry of `ports` is {}", node.value.describe());
                    problems.at(node.span, ProblemCode::WrongType, what, "write the number without quotation marks");
                    return None;
                }
                None
            }
        },
        _ => None,
    };
    match range {
        Some((low, high)) if low <= high => Some(Spanned { value: (low, high), span: node.span }),
        Some((low, high)) => {
            let what = format!("the range {low}-{high} of `ports` runs backwards");
            problems.at(node.span, ProblemCode::InvalidPort, what, format!("write \"{high}-{low}\""));
            None
        }
        None => {
            let what = format!("an entry of `ports` is {}, but must be a port or a range", node.value.describe());
            problems.at(node.span, ProblemCode::InvalidPort, what, "write a number from 1 to 65535, or \"lo-hi\"");
            None
        }
    }
}

/// None without a file: there is nothing to read, and the problem is noted.
fn read_list(list: Fields<'_>, problems: &mut Problems) -> Option<ListDocument> {
    let sha256 = list.text(&SHA256, problems);
    if let Some(hash) = &sha256
        && (hash.value.len() != 64 || !hash.value.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        problems.at(
            hash.span,
            ProblemCode::InvalidValue,
            "`sha256` is not a SHA-256",
            "write its 64 hexadecimal digits, as `sha256sum` prints them",
        );
    }
    let file = list.text(&FILE, problems);
    let effect = list.choice(&LIST_EFFECT, &EFFECTS, problems).unwrap_or(Effect::Deny);
    let format = list.choice(&FORMAT, &FORMATS, problems).unwrap_or(ListFormat::Domains);
    let covers = list.choice(&COVERS_KEY, &COVERS, problems).unwrap_or(Covers::Exact);
    let lines = list.count(&LINES, problems);
    let sha256 = sha256.map(|hash| Spanned { value: hash.value.to_ascii_lowercase(), span: hash.span });
    Some(ListDocument { span: list.span(), effect, file: file?, format, covers, lines, sha256 })
}

fn read_test(test: Fields<'_>, problems: &mut Problems) -> TestDocument {
    TestDocument {
        span: test.span(),
        to: test.text(&TEST_TO, problems).unwrap_or_else(|| Spanned { value: String::new(), span: test.span() }),
        tool: test.text(&TOOL, problems).map(|tool| tool.value),
        expect: test.choice(&EXPECT, &EFFECTS, problems).unwrap_or(Effect::Deny),
        reason: test.text(&TEST_REASON, problems),
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
