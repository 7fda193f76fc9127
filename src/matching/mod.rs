//! Matching: which complaints are about the same matter. Candidates come from an index that is bounded in time and memory
//! ([`Index`]); each is compared by several signs with a guard against conflicts ([`compare`]). Everything here is pure:
//! the store keeps signatures, the issuer keeps the index, the plan of a batch decides.
//!
//! | part | holds |
//! |---|---|
//! | [`Vocabulary`] | the words it goes by: data, `rules/matching.toml` |
//! | [`Signature`] | what is kept of a complaint, read by `reader`; `several` tells whether it asks for several things |
//! | [`Frequencies`] | how often word pieces were seen |
//! | [`Index`] | finds candidates |
//! | [`compare`], [`standing`], [`decide`] | looks at them closely, and chooses; `conflict` keeps apart, [`explain`] says why |

mod codec;
mod compare;
mod conflict;
mod contacts;
mod decide;
mod explain;
mod frequency;
mod index;
mod reader;
mod several;
mod signature;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use compare::{Comparison, Standing, compare, standing};
pub use conflict::Conflict;
pub use contacts::contact_phones;
pub use decide::{Found, Matched, Matching, Neighbour, RelatedTicket, decide};
pub use explain::explain;
pub use frequency::Frequencies;
pub use index::{CANDIDATES, Index};
pub use signature::{GRAM_LIMIT, NAME_LIMIT, Name, Signature, TEXT_LIMIT, Topic, Unit, persons};
pub use vocabulary::{NameKind, UnitKind, Vocabulary, VocabularyError, WORD_LIMIT};
