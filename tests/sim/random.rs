//! Chance that comes out the same for the same seed.

/// SplitMix64: small, quick, and good enough to choose among a handful of things.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 0 to one below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).expect("below a usize")
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % ((to - from + 1).unsigned_abs())).cast_signed()
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// What happened so far, in 64 bits: two runs of a seed must come to the same.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    hash: u64,
    /// Lines, where somebody wants to read them.
    pub(crate) told: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(told: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, told: told.then(Vec::new) }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(told) = &mut self.told {
            told.push(line);
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        mix(self.hash)
    }
}
