//! What JSON values have in common that stand in the same place, and the schema that says so.
//!
//! Values are seen while they are read, and none is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::guess::{is_date, is_email, is_uri, is_uuid, is_zoned};
use super::json::{JsonSchema, Kinds};
use super::values::{Few, Range};
use super::words::{counted, example, grouped, plain};

/// A format's name, and what tells whether a text is of it.
type Format = (&'static str, fn(&str) -> bool);

/// The formats that are looked for, as JSON Schema calls them.
const FORMATS: [Format; 5] =
    [("date-time", is_zoned), ("date", is_date), ("uuid", is_uuid), ("email", is_email), ("uri", is_uri)];

/// Names of members that are remembered in all, and the longest one, in bytes. What has more is hardly a record.
const MAX_NAMES: usize = 10_000;
const MAX_NAME_BYTES: usize = 256;

/// Names of one object beyond which it is taken for a map, whose names are data.
const MAX_MEMBERS: usize = 1000;

/// For how many names there is room.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_NAMES)
    }
}

/// The values of one place.
#[derive(Debug, Default)]
pub(super) struct Shape {
    nulls: u64,
    booleans: u64,
    integers: u64,
    decimals: u64,
    strings: Strings,
    arrays: u64,
    items: Option<Box<Shape>>,
    objects: Objects,
    /// Of the integers, and of all numbers if some are none.
    whole: Range<i128>,
    numbers: Range<f64>,
    first: Option<String>,
}

#[derive(Debug, Default)]
struct Strings {
    seen: u64,
    few: Few,
    chars: Range<usize>,
    /// Formats of [`FORMATS`] that some string has not.
    closed: [bool; FORMATS.len()],
}

#[derive(Debug, Default)]
struct Objects {
    seen: u64,
    members: BTreeMap<String, Member>,
    /// Whether some names had no room.
    are_cut: bool,
}

#[derive(Debug, Default)]
struct Member {
    /// Objects that have it, and the last one of them, counted from 1.
    objects: u64,
    last: u64,
    shape: Shape,
}

/// Looks at a value while it is read.
pub(super) struct See<'a> {
    shape: &'a mut Shape,
    room: &'a mut Room,
    /// Elements that are looked at, if it is an array.
    most: u64,
}

impl<'a> See<'a> {
    pub(super) fn first(shape: &'a mut Shape, room: &'a mut Room, most: u64) -> Self {
        Self { shape, room, most }
    }
}

impl<'de> DeserializeSeed<'de> for See<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for See<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.shape.nulls += 1;
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        self.shape.booleans += 1;
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.shape.see_integer(value.into());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.shape.see_integer(value.into());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.shape.decimals += 1;
        self.shape.numbers.see(&value);
        self.shape.first.get_or_insert_with(|| value.to_string());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.shape.strings.see(value);
        self.shape.first.get_or_insert_with(|| example(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let Self { shape, room, most } = self;
        shape.arrays += 1;
        let items = shape.items.get_or_insert_default();
        for _ in 0..most {
            if array.next_element_seed(See::first(items, room, u64::MAX))?.is_none() {
                return Ok(());
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { shape, room, .. } = self;
        let objects = &mut shape.objects;
        objects.seen += 1;
        while let Some(name) = object.next_key::<String>()? {
            match objects.member(name, room) {
                Some(shape) => object.next_value_seed(See::first(shape, room, u64::MAX))?,
                None => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

impl Objects {
    /// The values of this name; `None` where there is no room for it.
    fn member(&mut self, name: String, room: &mut Room) -> Option<&mut Shape> {
        if !self.members.contains_key(&name) {
            if room.0 == 0 || name.len() > MAX_NAME_BYTES || self.members.len() == MAX_MEMBERS {
                self.are_cut = true;
                return None;
            }
            room.0 -= 1;
        }
        let member = self.members.entry(name).or_default();
        // A name that stands there twice is there once.
        member.objects += u64::from(member.last != self.seen);
        member.last = self.seen;
        Some(&mut member.shape)
    }
}

impl Strings {
    fn see(&mut self, value: &str) {
        self.seen += 1;
        self.few.see(value);
        self.chars.see(&value.chars().count());
        for (closed, (_, fits)) in self.closed.iter_mut().zip(FORMATS) {
            *closed = *closed || !fits(value);
        }
    }

    fn format(&self) -> Option<&'static str> {
        let open = self.closed.iter().position(|closed| !closed).filter(|_| self.seen > 0)?;
        Some(FORMATS[open].0)
    }
}

impl Shape {
    #[allow(clippy::cast_precision_loss, reason = "bounds of numbers that are not all integers are doubles")]
    fn see_integer(&mut self, value: i128) {
        self.integers += 1;
        self.whole.see(&value);
        self.numbers.see(&(value as f64));
        self.first.get_or_insert_with(|| value.to_string());
    }

    fn total(&self) -> u64 {
        let Self { nulls, booleans, integers, decimals, arrays, .. } = self;
        nulls + booleans + integers + decimals + arrays + self.strings.seen + self.objects.seen
    }

    pub(super) fn schema(&self) -> JsonSchema {
        let kinds = self.kinds();
        let is_string = kinds == ["string"];
        let format = self.strings.format();
        let values = self.strings.few.all(self.strings.seen).filter(|_| is_string && format.is_none());
        let (minimum, maximum) = self.bounds().map(|[least, most]| (Some(least), Some(most))).unwrap_or_default();
        let Objects { seen, members, are_cut } = &self.objects;
        let always = |member: &Member| member.objects == *seen;
        JsonSchema {
            comment: self.comment(values.as_ref().map(Vec::len)),
            kind: match kinds[..] {
                [] => None,
                [kind] => Some(Kinds::One(kind)),
                _ => Some(Kinds::Several(kinds)),
            },
            format,
            values,
            minimum,
            maximum,
            items: self.items.as_ref().filter(|items| items.total() > 0).map(|items| Box::new(items.schema())),
            required: members.iter().filter(|(_, member)| always(member)).map(|(name, _)| name.clone()).collect(),
            properties: members
                .iter()
                .filter(|(_, member)| !are_cut || always(member))
                .map(|(name, member)| (name.clone(), member.shape.schema()))
                .collect(),
            ..JsonSchema::default()
        }
    }

    fn kinds(&self) -> Vec<&'static str> {
        let numbers = if self.decimals > 0 { (0, self.integers + self.decimals) } else { (self.integers, 0) };
        let kinds = [
            ("object", self.objects.seen),
            ("array", self.arrays),
            ("string", self.strings.seen),
            ("integer", numbers.0),
            ("number", numbers.1),
            ("boolean", self.booleans),
            ("null", self.nulls),
        ];
        kinds.into_iter().filter(|(_, seen)| *seen > 0).map(|(kind, _)| kind).collect()
    }

    fn bounds(&self) -> Option<[Value; 2]> {
        if self.decimals > 0 {
            return self.numbers.bounds().map(|(least, most)| [plain(*least), plain(*most)]);
        }
        let (least, most) = self.whole.bounds()?;
        Some([Number::from_i128(*least)?.into(), Number::from_i128(*most)?.into()])
    }

    /// `12,345 values, 3 null; 1 to 4311; for instance 17`
    fn comment(&self, different: Option<usize>) -> String {
        let mut seen = counted(self.total(), "value");
        if self.nulls > 0 {
            _ = write!(seen, ", {} null", grouped(self.nulls));
        }
        let mut parts = vec![seen];
        if let Some([least, most]) = self.bounds() {
            parts.push(format!("{least} to {most}"));
        }
        if let Some((least, most)) = self.strings.chars.bounds().filter(|_| self.strings.format().is_none()) {
            let length = if least == most { String::new() } else { format!("{} to ", grouped(*least as u64)) };
            parts.push(format!("{length}{}", counted(*most as u64, "character")));
        }
        if self.objects.are_cut {
            parts.push("objects of so many different names that only those are listed which all of them have".to_owned());
        }
        match (different, &self.first) {
            (Some(number), _) => parts.push(counted(number as u64, "different value")),
            (None, Some(first)) => parts.push(format!("for instance {first}")),
            (None, None) => {}
        }
        parts.join("; ")
    }
}
