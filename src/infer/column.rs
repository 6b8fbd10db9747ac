//! What the cells of a column have in common, and the field that says so.

use std::fmt::Write as _;

use serde_json::Value;

use super::guess::{Guess, Open, Order};
use super::table::{Constraints, Field};
use super::values::{Decimals, Few, Range, Unique};
use super::words::{counted, example, grouped, plain};

/// What stands for "no value" in the field, besides an empty cell.
const MARKERS: [&str; 12] = ["-", "--", "?", "N/A", "NA", "NULL", "NaN", "None", "n/a", "na", "nan", "null"];

/// The longest text that bounds are kept of, in bytes.
const MAX_BOUND_BYTES: usize = 32;

/// The integers that a JSON number says exactly (RFC 8259 section 6).
const EXACT: i64 = 1 << 53;

/// What has been seen of a column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    name: String,
    empty: u64,
    /// How often each of [`MARKERS`] stood there.
    markers: [u64; MARKERS.len()],
    seen: Seen,
}

/// The cells that hold a value.
#[derive(Debug, Clone)]
struct Seen {
    number: u64,
    open: Open,
    few: Few,
    unique: Unique,
    chars: Range<usize>,
    integers: Range<i64>,
    decimals: Decimals,
    texts: Range<String>,
    first: String,
}

impl Column {
    /// Room to remember so many different values.
    pub(super) fn new(name: &str, room: usize) -> Self {
        let seen = Seen {
            number: 0,
            open: Open::ALL,
            few: Few::default(),
            unique: Unique::within(room),
            chars: Range::default(),
            integers: Range::default(),
            decimals: Decimals::default(),
            texts: Range::default(),
            first: String::new(),
        };
        Self { name: name.to_owned(), empty: 0, markers: [0; MARKERS.len()], seen }
    }

    pub(super) fn see(&mut self, cell: &str) {
        if cell.is_empty() {
            self.empty += 1;
        } else if let Ok(index) = MARKERS.binary_search(&cell) {
            self.markers[index] += 1;
        } else {
            self.seen.see(cell);
        }
    }

    /// So many cells with nothing in them.
    pub(super) fn see_empty(&mut self, cells: u64) {
        self.empty += cells;
    }

    pub(super) fn field(&self) -> Field {
        let mut seen = self.seen.clone();
        let mut markers: Vec<_> = MARKERS.into_iter().zip(self.markers).filter(|(_, number)| *number > 0).collect();
        // Among plain strings such a word may be one of them: NA is Namibia, and None a family name.
        if seen.number > 0 && seen.open.narrowest().is_none() {
            for (marker, number) in markers.drain(..) {
                seen.see(marker);
                if number > 1 {
                    seen.see(marker);
                    seen.number += number - 2;
                }
            }
        }
        let missing = self.empty + markers.iter().map(|(_, number)| number).sum::<u64>();
        let guess = seen.open.narrowest();
        let (kind, format) = match guess {
            _ if seen.number == 0 => ("any", None),
            Some(Guess { kind, format, .. }) => (*kind, *format),
            None => ("string", None),
        };
        let missing_values = if markers.is_empty() {
            Vec::new()
        } else {
            std::iter::once("").chain(markers.iter().map(|(marker, _)| *marker)).collect()
        };
        Field {
            name: self.name.clone(),
            kind,
            format,
            description: seen.described(self.empty, &markers, missing),
            constraints: seen.constraints(missing),
            missing_values,
        }
    }
}

impl Seen {
    fn see(&mut self, cell: &str) {
        if self.number == 0 {
            self.first = example(cell);
        }
        self.number += 1;
        self.open.see(cell);
        self.few.see(cell);
        self.unique.see(cell);
        self.chars.see(&cell.chars().count());
        if self.open.has(Order::Integers)
            && let Ok(integer) = cell.parse::<i64>()
        {
            self.integers.see(&integer);
        }
        if self.open.has(Order::Numbers) {
            self.decimals.see(cell);
        }
        if self.open.has(Order::Texts) && cell.len() <= MAX_BOUND_BYTES {
            self.texts.see(cell);
        }
    }

    /// The smallest and the largest value, for the schema and for people.
    fn bounds(&self) -> Option<[(Value, String); 2]> {
        let guess = self.open.narrowest().filter(|_| self.number > 0)?;
        match guess.order {
            Order::Integers => self.integers.bounds().map(|(least, most)| [*least, *most].map(integer)),
            Order::Numbers => {
                self.decimals.bounds().map(|(least, most)| [least, most].map(|number| (plain(number), number.to_string())))
            }
            Order::Texts => {
                self.texts.bounds().map(|(least, most)| [least, most].map(|text| (text.clone().into(), text.clone())))
            }
            Order::None => None,
        }
    }

    /// Whether values that are written otherwise are others.
    fn are_as_written(&self) -> bool {
        match self.open.narrowest() {
            None | Some(Guess { order: Order::Integers | Order::Texts, .. }) => true,
            Some(Guess { kind, .. }) => *kind == "string",
        }
    }

    /// Whether there are several values, and no two are the same.
    fn is_unique(&self) -> bool {
        self.number > 1 && self.are_as_written() && matches!(self.unique, Unique::SoFar(..))
    }

    /// All values there seem to be.
    fn all(&self) -> Option<Vec<String>> {
        self.few.all(self.number).filter(|_| self.open.narrowest().is_none())
    }

    fn constraints(&self, missing: u64) -> Constraints {
        let (minimum, maximum) = self.bounds().map(|bounds| bounds.map(|(value, _)| Some(value)).into()).unwrap_or_default();
        Constraints {
            required: self.number > 0 && missing == 0,
            unique: self.is_unique(),
            minimum,
            maximum,
            values: self.all().unwrap_or_default(),
        }
    }

    /// `12,345 cells, 3 empty; 1 to 4,311; for instance 17`
    fn described(&self, empty: u64, markers: &[(&str, u64)], missing: u64) -> String {
        let mut cells = counted(self.number + missing, "cell");
        if empty > 0 {
            _ = write!(cells, ", {} empty", grouped(empty));
        }
        for (marker, number) in markers {
            _ = write!(cells, ", {} {marker}", grouped(*number));
        }
        let mut parts = vec![cells];
        if self.number == 0 {
            return parts.remove(0);
        }
        if let Some([(_, least), (_, most)]) = self.bounds() {
            parts.push(format!("{least} to {most}"));
        } else if let (None, Some((least, most))) = (self.open.narrowest(), self.chars.bounds()) {
            let length = if least == most { String::new() } else { format!("{} to ", grouped(*least as u64)) };
            parts.push(format!("{length}{}", counted(*most as u64, "character")));
        }
        match &self.unique {
            Unique::SoFar(..) if self.is_unique() => parts.push("all different".to_owned()),
            Unique::TooMany if self.are_as_written() => parts.push("too many to say whether all are different".to_owned()),
            Unique::SoFar(..) | Unique::Repeated | Unique::TooMany => {}
        }
        match self.all() {
            Some(values) => parts.push(counted(values.len() as u64, "different value")),
            None => parts.push(format!("for instance {}", self.first)),
        }
        parts.join("; ")
    }
}

fn integer(integer: i64) -> (Value, String) {
    let sign = if integer < 0 { "-" } else { "" };
    let value = if integer.abs() < EXACT { integer.into() } else { integer.to_string().into() };
    (value, format!("{sign}{}", grouped(integer.unsigned_abs())))
}
