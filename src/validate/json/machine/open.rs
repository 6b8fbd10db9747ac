//! What is open, in registers: the brackets of a block are followed here.

#![allow(clippy::inline_always, reason = "each saves a call for every bracket, which was measured")]

use super::Container;
use crate::validate::json::marks::Marks;
use crate::validate::lanes::BYTES;

/// The arrays and objects that are open, as far as so few bits can tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// A bit for each level, the innermost lowest: whether it is an object. The highest that is set stands above them all.
    levels: u64,
    max_depth: usize,
    /// As [`super::Machine`] counts them.
    pub(super) elements: u64,
}

/// What is open behind a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inside {
    pub(super) open: Open,
    /// The commas and opening braces that a name has to follow, but for the end of an empty object.
    pub(super) names: u64,
}

/// Nothing is open.
const TOP: u64 = 1;

/// One level more is seen before it is refused.
const MAX_DEPTH: usize = 62;

impl Open {
    /// `None` where that is too much.
    pub(super) fn of(containers: &[Container], max_depth: usize, elements: u64) -> Option<Self> {
        let max_depth = max_depth.min(MAX_DEPTH);
        if containers.len() > max_depth {
            return None;
        }
        let level = |levels, &container| levels << 1 | u64::from(container == Container::Object);
        Some(Self { levels: containers.iter().fold(TOP, level), max_depth, elements })
    }

    /// Writes down what is open, outermost first.
    pub(super) fn put(self, containers: &mut Vec<Container>) {
        let container = |level| if self.levels >> level & 1 == 1 { Container::Object } else { Container::Array };
        containers.clear();
        containers.extend((0..self.levels.ilog2()).rev().map(container));
    }

    /// Follows the brackets of a block; `None` where they do not pass.
    #[inline(always)]
    pub(super) fn follow(mut self, block: &[u8; BYTES], marks: &Marks) -> Option<Inside> {
        let mut left = marks.opening | marks.closing | marks.ends;
        let mut commas = marks.commas;
        let mut names = 0;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let byte = block[left.trailing_zeros() as usize];
            left ^= bit;
            let segment = commas & (bit - 1);
            commas ^= segment;
            names |= segment & self.in_object();
            if self.is_near_the_top() && !self.at_the_top(segment, byte, marks.empty & bit) {
                return None;
            }
            let is_object = u64::from(byte >> 5 & 1);
            if marks.closing & bit != 0 {
                if (self.levels ^ is_object) & 1 != 0 {
                    return None;
                }
                self.levels >>= 1;
            } else if byte != b'\n' {
                self.levels = self.levels << 1 | is_object;
                names |= bit & self.in_object();
                if self.levels >> self.max_depth > 1 {
                    return None;
                }
            } else if self.levels != TOP {
                return None;
            }
        }
        names |= commas & self.in_object();
        let passes = !self.is_near_the_top() || self.at_the_top(commas, 0, 0);
        passes.then_some(Inside { open: self, names })
    }

    #[inline(always)]
    const fn in_object(&self) -> u64 {
        // Nothing is one level that is no object.
        0_u64.wrapping_sub(self.levels & 1)
    }

    #[inline(always)]
    const fn is_near_the_top(&self) -> bool {
        self.levels < TOP << 2
    }

    /// Counts the elements of the top-level array: commas, and then this byte, have come; `empty`
    /// is not 0 where that ends an array without any. Whether they may stand there.
    fn at_the_top(&mut self, commas: u64, byte: u8, empty: u64) -> bool {
        match (self.levels, byte) {
            (TOP, b'}' | b']') => return false,
            (TOP, _) if commas != 0 => return false,
            (TOP, b'\n') => self.elements = 0,
            (TOP, b'{' | b'[') => self.elements = 1,
            (ARRAY, b']') if empty != 0 => self.elements = 0,
            (ARRAY, _) => self.elements += u64::from(commas.count_ones()),
            _ => {}
        }
        true
    }
}

/// A top-level array is open.
const ARRAY: u64 = TOP << 1;
