//! Enums whose numbers travel.

/// Defines an enum of numbers, with the list of all of them and the way back from a number, so that none
/// is forgotten in either.
macro_rules! numbered {
    (
        $(#[$about:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$about_one:meta])* $one:ident = $number:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        $visibility enum $name {
            $($(#[$about_one])* $one = $number,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$one),+];

            /// The one of this number.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$one),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use numbered;
