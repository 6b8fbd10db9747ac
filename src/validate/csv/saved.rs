//! A table in the middle of being read, as it is written down.

use serde::{Deserialize, Serialize};

use super::header::{Header, SavedHeader};
use super::mark::Mark;
use super::{Csv, State};
use crate::validate::position::Place;

/// What has been read. Neither the delimiter nor the limit: those are of whoever goes on.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::validate) struct SavedCsv {
    state: State,
    /// Present until the header has ended.
    header: Option<SavedHeader>,
    columns: u64,
    rows: u64,
    fields: u64,
    record_bytes: u64,
    /// Where the field begins that is being read, if somebody may ask.
    field: Option<Place>,
}

impl SavedCsv {
    pub(super) fn of(csv: &Csv) -> Self {
        let field = match csv.field {
            Mark::Earlier(place) if csv.keeps_field() => Some(place),
            Mark::Earlier(_) | Mark::Here(_) => None,
        };
        let header = csv.header.as_ref().map(Header::save);
        let &Csv { state, columns, rows, fields, record_bytes, .. } = csv;
        Self { state, header, columns, rows, fields, record_bytes, field }
    }

    /// `fresh`, which has read nothing, as if it had read all before `here`.
    pub(super) fn into_csv(self, fresh: &Csv, here: Place) -> Option<Csv> {
        let Self { state, header, columns, rows, fields, record_bytes, field } = self;
        let header = match header {
            Some(saved) => Some(Header::resume(saved)?),
            None => None,
        };
        let mark = Mark::Earlier(field.unwrap_or(Place::START));
        let csv = Csv {
            state,
            header,
            columns,
            rows,
            fields,
            record_bytes,
            field: mark,
            delimiter: fresh.delimiter,
            max_record_bytes: fresh.max_record_bytes,
        };
        let field_fits = match field {
            Some(place) => csv.keeps_field() && place.is_before(here),
            None => !csv.keeps_field(),
        };
        (field_fits && csv.header_fits() && csv.record_fits(here)).then_some(csv)
    }
}

impl Csv {
    /// Whether the counts that come of the header can be right.
    fn header_fits(&self) -> bool {
        match &self.header {
            Some(header) => {
                (self.columns, self.rows, self.fields) == (0, 0, header.count()) && header.bytes() <= self.record_bytes
            }
            None => self.fields < self.columns,
        }
    }

    /// Whether the counts of the record that ends `here` for now can be right, and are within the limits.
    fn record_fits(&self, here: Place) -> bool {
        let has_begun = self.state != State::Start || self.fields > 0;
        let counted = [self.columns, self.rows, self.record_bytes].into_iter().all(|count| count <= here.offset);
        let state_fits = match self.state {
            State::Start | State::Bare | State::Quoted | State::Quote => true,
            // A flaw is found one character before this place.
            State::Cr => here.column > 1,
            State::BlankCr => here.column > 1 && (self.fields, self.record_bytes) == (0, 1),
        };
        let bytes_fit = self.fields <= self.record_bytes && self.record_bytes <= self.limit();
        counted && state_fits && bytes_fit && has_begun == (self.record_bytes > 0)
    }
}
