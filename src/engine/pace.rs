//! How often something may begin, however many take part: moments are given away one by one, and each is good for one beginning.
//!
//! Moments lie `spacing` apart. What has one begins not before it and at most `grace` after it, or gives it up. Of any `number` + 1
//! beginnings the first and the last are at least `number` × spacing − grace apart, which is the window: so no window of that length,
//! wherever it is laid, holds more than `number`. The price is that the rule is used up to about a tenth less than it allows, and
//! for windows of an hour or more to a thousandth.
//!
//! Times are microseconds of one clock, that of the database.

/// A microsecond's share of a second.
pub const SECOND: i64 = 1_000_000;
/// No beginning is later than this.
const LONGEST_GRACE: i64 = 2 * SECOND;
/// Moments are given away for about so long at once.
const AHEAD: i64 = SECOND;

/// The rhythm of a rule `number` per `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub spacing: i64,
    pub grace: i64,
    window: i64,
}

/// Moments that were given away together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub first: i64,
    pub count: i64,
    /// From when on the next ones are given away.
    pub next: i64,
}

impl Pace {
    /// At most `number` in any `window`; a rule of none is one of one.
    pub fn new(number: u32, window: i64) -> Pace {
        let number = i64::from(number.max(1));
        let grace = (window / 10).min(LONGEST_GRACE);
        // Rounded up: too slow by less than a microsecond.
        Pace { spacing: (window + grace + number - 1) / number, grace, window }
    }

    /// The moments after `next` that one who asks `now` gets, at most so many and about a second's.
    pub fn slice(&self, next: i64, now: i64, most: i64) -> Slice {
        // Nobody is ahead by more than this, unless the clock was set back: then the past ones are over after a window.
        let furthest = now + self.window + self.grace + 64 * AHEAD.max(self.spacing);
        let first = if next > furthest { now + self.window + self.grace } else { next.max(now) };
        let count = (AHEAD / self.spacing).clamp(1, most.max(1));
        Slice { first, count, next: first + count * self.spacing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, the same for each seed.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: i64) -> i64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(self.0 >> 33).expect("31 bits") % n.max(1)
        }
    }

    /// Workers ask, begin as late as they may or give moments up, die with what they hold and come back; the beginnings.
    fn play(pace: Pace, dice: &mut Dice, asks: usize) -> Vec<i64> {
        let (mut now, mut next, mut begun) = (dice.below(1 << 40), 0, Vec::new());
        for _ in 0..asks {
            now += dice.below(3 * pace.spacing);
            let most = 1 + dice.below(40);
            let slice = pace.slice(next, now, most);
            assert!(
                slice.first >= now && slice.first >= next && (1..=most).contains(&slice.count),
                "{slice:?}"
            );
            next = slice.next;
            let used = if dice.below(8) == 0 { dice.below(slice.count) } else { slice.count };
            for n in 0..used {
                let late = [0, pace.grace, dice.below(pace.grace + 1)]
                    [usize::try_from(dice.below(3)).expect("small")];
                begun.push(slice.first + n * pace.spacing + late);
            }
            if dice.below(5) == 0 && used < slice.count {
                // Given back, since nobody has asked meanwhile.
                next = slice.first + used * pace.spacing;
            }
        }
        begun.sort_unstable();
        begun
    }

    #[test]
    fn no_window_holds_more_than_the_rule_allows_whoever_asks_dies_or_is_late() {
        for seed in 0..2_000 {
            let mut dice = Dice(seed);
            let number = u32::try_from(1 + dice.below(300)).expect("small");
            let window = SECOND * [1, 60, 3_600, 86_400][usize::try_from(dice.below(4)).expect("small")];
            let begun = play(Pace::new(number, window), &mut dice, 60);
            let most = usize::try_from(number).expect("small");
            for (first, last) in begun.iter().zip(begun.iter().skip(most)) {
                assert!(last - first >= window, "seed {seed}: {} of {number} in {window}", most + 1);
            }
        }
    }

    #[test]
    fn a_rule_is_nearly_used_up() {
        for (number, window, least) in [(100, 1, 90), (500, 3_600, 499), (1, 1, 0), (10_000, 86_400, 9_998)] {
            let pace = Pace::new(number, window * SECOND);
            assert!(window * SECOND / pace.spacing >= least, "{number} per {window} s: {pace:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_everything() {
        let pace = Pace::new(60, 60 * SECOND);
        let (now, next) = (1_000 * SECOND, 90_000 * SECOND);
        let slice = pace.slice(next, now, 10);
        assert_eq!(slice.first, now + 62 * SECOND, "what was begun before is out of every window by then");
    }
}
