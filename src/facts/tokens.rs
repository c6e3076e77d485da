//! Stable tokens of closed enums.

/// Gives an enum a constant `ALL` with one value of each variant, and a function that returns the stable token of each. Both
/// come from one list. A variant that is not in the list does not compile.
macro_rules! tokens {
    ($name:ident, $token:ident: $($variant:ident $(($sample:expr))? => $text:literal,)+) => {
        impl $name {
            /// One value of each variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant $(($sample))?),+];

            /// The stable token of the variant.
            pub const fn $token(self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $text,)+
                }
            }
        }
    };
}

pub(crate) use tokens;
