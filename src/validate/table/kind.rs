//! The types of columns with their formats: which cells they take, and what those stand for.

use std::cmp::Ordering;

use serde_json::Value;

use super::calendar::{self, Moment};
use super::duration::Duration;
use super::json;
use super::number::{self, Lexical, Number, Reach};
use super::strptime::{Facet, Pattern};
use super::{geo, text};

/// A type and its format, with all that its properties say.
#[derive(Debug)]
pub(super) enum Kind {
    Any,
    Text,
    Email,
    Uri,
    Binary,
    Uuid,
    Integer,
    Number,
    /// Numbers and integers that are not written in the plain form.
    NumberAs(Box<Lexical>),
    Boolean,
    BooleanAs(Box<Words>),
    Date,
    Time,
    DateTime,
    Patterns(Box<Patterns>),
    Year,
    YearMonth,
    Duration,
    Point(PointForm),
    GeoJson,
    TopoJson,
    Object,
    Array,
    List(Box<List>),
}

/// The words of a boolean column.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) yes: Vec<String>,
    pub(super) no: Vec<String>,
}

/// Dates or times by `strptime` patterns, of which one must fit.
#[derive(Debug)]
pub(super) struct Patterns {
    pub(super) facet: Facet,
    pub(super) any_of: Vec<Pattern>,
    /// For people.
    pub(super) expected: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PointForm {
    Text,
    Array,
    Object,
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) delimiter: String,
    pub(super) item: Kind,
}

/// What a cell stands for: constraints and keys are about this, not about how it is written.
#[derive(Debug)]
pub(super) enum Logical<'a> {
    Text(&'a str),
    Boolean(Truth),
    Quantity(Quantity<'a>),
    Point(Number<'a>, Number<'a>),
    PointOfJson(Value),
    Json(Value),
    List(Vec<Logical<'a>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
}

/// What has an order.
#[derive(Debug)]
pub(super) enum Quantity<'a> {
    Number(Number<'a>),
    Moment(Moment<'a>),
    Duration(Duration<'a>),
}

impl Kind {
    /// Whether a cell is of this type. Allocates nothing but for geojson and geopoints in JSON.
    pub(super) fn accepts(&self, cell: &str) -> bool {
        let bytes = cell.as_bytes();
        match self {
            Self::Any | Self::Text => true,
            Self::Integer => number::is_integer(bytes),
            Self::Number => number::is_number(bytes),
            Self::Boolean => truth(cell).is_some(),
            Self::Date => calendar::is_date(bytes),
            Self::Time => calendar::time(bytes).is_some(),
            Self::DateTime => calendar::plain(bytes).is_some() || calendar::date_time(cell).is_some(),
            Self::Email => text::is_email(cell),
            Self::Uri => text::is_uri(cell),
            Self::Binary => text::is_base64(cell),
            Self::Uuid => text::is_uuid(cell),
            Self::Object => json::is_json(cell, b'{'),
            Self::Array => json::is_json(cell, b'['),
            Self::List(list) => cell.split(&list.delimiter).all(|item| list.item.accepts(item)),
            _ => self.read(cell).is_some(),
        }
    }

    /// What a cell stands for; `None` where it is not of this type, or is JSON that can't be held.
    pub(super) fn read<'a>(&'a self, cell: &'a str) -> Option<Logical<'a>> {
        let quantity = match self {
            Self::Any | Self::Text | Self::Email | Self::Uri | Self::Binary | Self::Uuid => {
                return self.is_text(cell).then_some(Logical::Text(cell));
            }
            Self::Boolean => return truth(cell).map(Logical::Boolean),
            Self::BooleanAs(words) => return words.read(cell).map(Logical::Boolean),
            Self::Point(form) => return point(*form, cell),
            Self::GeoJson => return json::value(cell, b'{').filter(geo::is_geojson).map(Logical::Json),
            Self::TopoJson => return json::value(cell, b'{').filter(geo::is_topojson).map(Logical::Json),
            Self::Object => return json::value(cell, b'{').map(Logical::Json),
            Self::Array => return json::value(cell, b'[').map(Logical::Json),
            Self::List(list) => {
                return cell
                    .split(&list.delimiter)
                    .map(|item| list.item.read(item))
                    .collect::<Option<_>>()
                    .map(Logical::List);
            }
            Self::Integer => Quantity::Number(Number::read(cell.as_bytes(), &Lexical::INTEGER)?),
            Self::Number => Quantity::Number(Number::read(cell.as_bytes(), &Lexical::NUMBER)?),
            Self::NumberAs(lexical) => Quantity::Number(Number::read(cell.as_bytes(), lexical)?),
            Self::Date => Quantity::Moment(whole(calendar::date(cell.as_bytes())? * calendar::DAY_SECONDS)),
            // Midnight at the end of a day is the one at its beginning.
            Self::Time => Quantity::Moment(whole(calendar::time(cell.as_bytes())? % calendar::DAY_SECONDS)),
            Self::DateTime => Quantity::Moment(calendar::date_time(cell)?),
            Self::Patterns(patterns) => Quantity::Moment(patterns.read(cell)?),
            Self::Year => Quantity::Moment(calendar::calendar_year(cell)?),
            Self::YearMonth => Quantity::Moment(calendar::calendar_month(cell)?),
            Self::Duration => Quantity::Duration(Duration::read(cell)?),
        };
        Some(Logical::Quantity(quantity))
    }

    /// Writes bytes that are the same for cells that stand for the same value, and for no others; `None` where the cell is not
    /// of this type.
    pub(super) fn canonical(&self, cell: &str, out: &mut Vec<u8>) -> Option<()> {
        self.read(cell).map(|logical| logical.canonical(out))
    }

    /// What is expected of a cell, as it completes "the cell must be …".
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Any | Self::Text => "text".to_owned(),
            Self::Email => "an email address, such as name@example.org".to_owned(),
            Self::Uri => "a URI with its scheme, such as https://example.org/".to_owned(),
            Self::Binary => "base64 with its padding, such as aGk=".to_owned(),
            Self::Uuid => "a UUID, such as 123e4567-e89b-12d3-a456-426614174000".to_owned(),
            Self::Integer => "a whole number, such as -42".to_owned(),
            Self::Number => "a number, such as -1.23".to_owned(),
            Self::NumberAs(lexical) => expected_number(lexical),
            Self::Boolean => "one of true, True, TRUE, 1, false, False, FALSE, 0".to_owned(),
            Self::BooleanAs(words) => format!("one of {}, {}", words.yes.join(", "), words.no.join(", ")),
            Self::Date => "a date of the calendar, as 2024-01-26".to_owned(),
            Self::Time => "a time of day, as 15:00:00".to_owned(),
            Self::DateTime => "a date and time, as 2024-01-26T15:00:00 or 2024-01-26T15:00:00.300-05:00".to_owned(),
            Self::Patterns(patterns) => patterns.expected.clone(),
            Self::Year => "a year, as 2024".to_owned(),
            Self::YearMonth => "a year and month, as 2024-01".to_owned(),
            Self::Duration => "a duration, as P1Y2M3DT4H5M6S".to_owned(),
            Self::Point(PointForm::Text) => "a longitude and a latitude, as 90.50, 45.50".to_owned(),
            Self::Point(PointForm::Array) => "a longitude and a latitude, as [90.50, 45.50]".to_owned(),
            Self::Point(PointForm::Object) => "a longitude and a latitude, as {\"lon\": 90.50, \"lat\": 45.50}".to_owned(),
            Self::GeoJson => "a GeoJSON object (RFC 7946)".to_owned(),
            Self::TopoJson => "a TopoJSON object, such as a topology".to_owned(),
            Self::Object => "a JSON object".to_owned(),
            Self::Array => "a JSON array".to_owned(),
            Self::List(list) => format!("a list separated by {:?}, each item {}", list.delimiter, list.item.expected()),
        }
    }

    /// Types whose values can be equal to each other's.
    pub(super) fn family(&self) -> &'static str {
        match self {
            Self::Any | Self::Text | Self::Email | Self::Uri | Self::Binary | Self::Uuid => "text",
            Self::Integer | Self::Number | Self::NumberAs(_) => "number",
            Self::Boolean | Self::BooleanAs(_) => "boolean",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "datetime",
            Self::Patterns(patterns) => match patterns.facet {
                Facet::Date => "date",
                Facet::Time => "time",
                Facet::DateTime => "datetime",
            },
            Self::Year => "year",
            Self::YearMonth => "yearmonth",
            Self::Duration => "duration",
            Self::Point(PointForm::Text) => "geopoint",
            Self::Point(PointForm::Array) | Self::Array => "array",
            Self::Point(PointForm::Object) | Self::GeoJson | Self::TopoJson | Self::Object => "object",
            Self::List(_) => "list",
        }
    }

    fn is_text(&self, cell: &str) -> bool {
        match self {
            Self::Email | Self::Uri | Self::Binary | Self::Uuid => self.accepts(cell),
            _ => true,
        }
    }
}

impl Logical<'_> {
    /// Writes bytes that are the same for the same value, and for no other of its type.
    pub(super) fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Boolean(truth) => out.push(u8::from(*truth == Truth::True)),
            Self::Quantity(Quantity::Number(number)) => number.canonical(out),
            Self::Quantity(Quantity::Moment(moment)) => moment.canonical(out),
            Self::Quantity(Quantity::Duration(duration)) => duration.canonical(out),
            Self::Point(longitude, latitude) => {
                json::sized(out, |out| longitude.canonical(out));
                json::sized(out, |out| latitude.canonical(out));
            }
            Self::PointOfJson(value) | Self::Json(value) => json::canonical(value, out),
            Self::List(items) => items.iter().for_each(|item| json::sized(out, |out| item.canonical(out))),
        }
    }

    /// How many characters, items or members there are; `None` where that is no question.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(text.chars().count() as u64),
            Self::Json(value) => Some(json::length(value)),
            Self::List(items) => Some(items.len() as u64),
            _ => None,
        }
    }
}

impl Quantity<'_> {
    pub(super) fn into_owned(self) -> Quantity<'static> {
        match self {
            Self::Number(number) => Quantity::Number(number.into_owned()),
            Self::Moment(moment) => Quantity::Moment(moment.into_owned()),
            Self::Duration(duration) => Quantity::Duration(duration.into_owned()),
        }
    }

    /// `None` where they do not compare, as NaN with anything.
    pub(super) fn compare(&self, other: &Quantity<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(left), Quantity::Number(right)) => left.partial_cmp(right),
            (Self::Moment(left), Quantity::Moment(right)) => left.partial_cmp(right),
            (Self::Duration(left), Quantity::Duration(right)) => left.partial_cmp(right),
            _ => None,
        }
    }
}

impl Words {
    fn read(&self, cell: &str) -> Option<Truth> {
        if self.yes.iter().any(|word| word == cell) {
            Some(Truth::True)
        } else if self.no.iter().any(|word| word == cell) {
            Some(Truth::False)
        } else {
            None
        }
    }
}

impl Patterns {
    fn read<'a>(&self, cell: &'a str) -> Option<Moment<'a>> {
        self.any_of.iter().find_map(|pattern| pattern.read(cell, self.facet))
    }
}

fn truth(cell: &str) -> Option<Truth> {
    match cell {
        "true" | "True" | "TRUE" | "1" => Some(Truth::True),
        "false" | "False" | "FALSE" | "0" => Some(Truth::False),
        _ => None,
    }
}

fn whole(seconds: i64) -> Moment<'static> {
    Moment::new(seconds, "", None)
}

fn point(form: PointForm, cell: &str) -> Option<Logical<'_>> {
    let value = match form {
        PointForm::Text => {
            let (longitude, latitude) = cell.split_once(',')?;
            let longitude = degrees(longitude.trim().as_bytes(), b"180")?;
            return Some(Logical::Point(longitude, degrees(latitude.trim().as_bytes(), b"90")?));
        }
        PointForm::Array => json::value(cell, b'[')?,
        PointForm::Object => json::value(cell, b'{')?,
    };
    let (longitude, latitude) = match form {
        PointForm::Object => (value.get("lon")?, value.get("lat")?),
        _ => (value.get(0)?, value.get(1)?),
    };
    let right = json::length(&value) == 2
        && [(longitude, b"180".as_slice()), (latitude, b"90")].into_iter().all(|(angle, most)| match angle {
            Value::Number(angle) => degrees(angle.to_string().as_bytes(), most).is_some(),
            _ => false,
        });
    right.then_some(Logical::PointOfJson(value))
}

/// A number of degrees, to the east or to the west, to the north or to the south.
fn degrees<'a>(text: &'a [u8], most: &[u8]) -> Option<Number<'a>> {
    let number = Number::read(text, &Lexical::NUMBER)?;
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let within = Number::read(unsigned, &Lexical::NUMBER)? <= Number::read(most, &Lexical::NUMBER)?;
    within.then_some(number)
}

fn expected_number(lexical: &Lexical) -> String {
    let Lexical { decimal, group, .. } = lexical;
    let example = match lexical.reach {
        Reach::Integer => format!("a whole number, such as 1{group}000"),
        Reach::Number => format!("a number, such as 1{group}000{decimal}5"),
    };
    match lexical.around {
        number::Around::Nothing => example,
        number::Around::Anything => format!("{example}, perhaps with a unit before or behind it"),
    }
}
