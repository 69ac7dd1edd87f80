//! Numbers that depend on a seed alone, whatever becomes of libraries.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// One action: its kind, and what it chooses by. Whatever the numbers are, they mean something,
/// so that any action can be left out.
#[derive(Clone, Debug)]
pub struct Action([u32; 10]);

impl Action {
    pub fn random(numbers: &mut Numbers) -> Self {
        Self(std::array::from_fn(|_| (numbers.next() >> 33) as u32))
    }

    pub fn kind(&self) -> u32 {
        self.0[0] % super::actions::KINDS
    }

    /// One of `count`, by number `at`.
    pub fn of(&self, at: usize, count: usize) -> usize {
        self.0[at] as usize % count
    }
}
