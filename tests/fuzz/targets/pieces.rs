//! How an input is dealt out. The cuts are drawn from the input itself, so that inputs stay plain bytes: seeds and
//! dictionaries need no header, and a finding can be sent over a socket as it is.

/// A number that any change of the input changes (FNV-1a).
pub(super) fn number(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where the input is cut: some places in ascending order, the end last.
pub(super) fn ends(input: &[u8]) -> Vec<usize> {
    let mut drawn = number(input) | 1;
    let mut ends: Vec<usize> = (0..1 + drawn % 5)
        .map(|_| {
            // xorshift64: any step that mixes will do.
            drawn ^= drawn << 13;
            drawn ^= drawn >> 7;
            drawn ^= drawn << 17;
            usize::try_from(drawn % (input.len() as u64 + 1)).unwrap_or_default()
        })
        .collect();
    ends.push(input.len());
    ends.sort_unstable();
    ends
}

/// The input in pieces, some of them empty.
pub(super) fn pieces(input: &[u8]) -> Vec<&[u8]> {
    let ends = ends(input);
    let begins = std::iter::once(0).chain(ends.iter().copied());
    begins.zip(&ends).map(|(begin, end)| &input[begin..*end]).collect()
}
