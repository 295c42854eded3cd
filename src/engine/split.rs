//! Chance that is none: the same contact and split give the same variant for ever, the same enrollment and step the same wait.

use super::program::Word;
use crate::id::{ContactId, EnrollmentId};
use crate::value::Decimal;

/// The number of the variant for that contact. Shares are weights: they need not sum to 100 %, so that a broken program still
/// gives an answer. `None` only where there is no share at all.
pub fn choose(contact: ContactId, split: &str, shares: &[Decimal]) -> Option<usize> {
    let weight = |share: &Decimal| u128::from(share.0.max(0).unsigned_abs());
    let total: u128 = shares.iter().map(weight).sum();
    let mut left = (u128::from(hash(contact.0, split, 0)) * total) >> 64;
    for (number, share) in shares.iter().enumerate() {
        if left < weight(share) {
            return Some(number);
        }
        left -= weight(share);
    }
    None
}

/// A number from 0 to `span`, both included, stable for that enrollment, step and round.
pub fn pick(enrollment: EnrollmentId, step: &Word, round: u32, span: i64) -> i64 {
    let span = u128::from(span.max(0).unsigned_abs());
    let picked = (u128::from(hash(enrollment.0, step, round)) * (span + 1)) >> 64;
    i64::try_from(picked).unwrap_or(0)
}

fn hash(id: i64, name: &str, round: u32) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.to_be_bytes()).update(&round.to_be_bytes()).update(name.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(n: i64) -> Decimal {
        Decimal::from_int(n)
    }

    #[test]
    fn shares_are_kept_and_choices_are_stable() {
        let shares = [percent(10), percent(0), percent(90)];
        let chosen: Vec<Option<usize>> =
            (0..10_000).map(|id| choose(ContactId(id), "style", &shares)).collect();
        let first = chosen.iter().filter(|choice| **choice == Some(0)).count();
        assert!((900..1_100).contains(&first), "{first} of 10,000 for 10 %");
        assert!(chosen.iter().all(|choice| matches!(choice, Some(0 | 2))));
        assert_eq!(choose(ContactId(7), "style", &shares), chosen[7]);
    }

    #[test]
    fn two_splits_do_not_choose_the_same_people() {
        let shares = [percent(50), percent(50)];
        let same = (0..10_000)
            .filter(|id| choose(ContactId(*id), "a", &shares) == choose(ContactId(*id), "b", &shares))
            .count();
        assert!((4_700..5_300).contains(&same), "{same}");
    }

    #[test]
    fn no_share_gives_no_variant_and_a_pick_stays_within_its_span() {
        assert_eq!(choose(ContactId(1), "x", &[]), None);
        assert_eq!(choose(ContactId(1), "x", &[percent(0)]), None);
        let step: Word = "wait".into();
        let picks: Vec<i64> = (0..1_000).map(|id| pick(EnrollmentId(id), &step, 0, 9)).collect();
        assert!((0..10).all(|n| picks.contains(&n)));
        assert!(picks.iter().all(|n| (0..10).contains(n)));
        assert_eq!(pick(EnrollmentId(1), &step, 0, -5), 0);
    }
}
