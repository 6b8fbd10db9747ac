//! Which rules a file can break: a name for each, as stable as the wire.

use std::fmt;

/// The rule that was broken.
///
/// Where frictionless has a name for it, it is that one (frictionless-py, "Validation errors").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Bytes that are no UTF-8.
    InvalidUtf8,
    /// A name in a CSV's header that is empty.
    BlankHeader,
    /// A name in a CSV's header that stands there before.
    DuplicateLabel,
    /// A field of the schema that the header lacks.
    MissingLabel,
    /// A name in the header that the schema does not know.
    ExtraLabel,
    /// A name in the header where the schema has another one.
    IncorrectLabel,
    /// A CSV without a header.
    MissingHeader,
    /// A blank line in a CSV of more than one column.
    BlankRow,
    /// More cells than the header has names.
    ExtraCell,
    /// Fewer cells than the header has names.
    MissingCell,
    /// A quote inside of a field that does not begin with one.
    StrayQuote,
    /// Text between a closing quote and the end of its field.
    TextAfterQuote,
    /// A quote that is never closed.
    UnclosedQuote,
    /// A CR without its LF.
    BareCr,
    /// A NUL byte in a table.
    NulByte,
    /// A character that the dialect's escape character does not escape, or an escape at the end of the file.
    BadEscape,
    /// Text that is no JSON.
    JsonSyntax,
    /// A JSON text that ends early.
    JsonTruncated,
    /// A byte order mark before a JSON text.
    JsonBom,
    /// A name that stands in an object before (RFC 7493 section 2.3).
    DuplicateName,
    /// A surrogate escape without its other half (RFC 7493 section 2.1).
    LoneSurrogate,
    /// A number that does not fit binary64 (RFC 7493 section 2.2).
    NumberRange,
    /// A line of NDJSON without a value.
    BlankLine,
    /// A line of NDJSON that ends before its value does.
    SplitValue,
    /// A value that the JSON Schema refuses.
    SchemaError,
    /// A document that can't be held against the JSON Schema with a bounded number of looks at its
    /// values.
    SchemaTooExpensive,
    /// A cell that is not of its column's type.
    TypeError,
    /// A cell that its column's constraints refuse.
    ConstraintError,
    /// A cell that stands in its column before, where each may stand once.
    UniqueError,
    /// A primary key that is empty or stands in the table before.
    PrimaryKey,
    /// A key that is not in the table it refers to.
    ForeignKey,
    /// Arrays and objects nested too deep.
    JsonDepth,
    /// A CSV record or an NDJSON line of too many bytes.
    RecordBytes,
    /// A CSV record over too many lines.
    RecordLines,
    /// A row of too many fields.
    RowFields,
    /// A string, number or cell of too many bytes.
    TokenBytes,
    /// A JSON document, or an item of one, too large to be held against its schema.
    DocumentBytes,
    /// More different keys than the memory for them holds.
    KeyMemory,
    /// Compressed data that is broken or ends early.
    CompressedData,
    /// Compressed data that unpacks to more than is allowed.
    UnpackedBytes,
    /// Compressed data that unpacks to more times its size than is allowed.
    UnpackRatio,
}

impl Code {
    /// Every code, in the order in which they are explained.
    pub const ALL: [Self; 41] = [
        Self::InvalidUtf8,
        Self::BlankHeader,
        Self::DuplicateLabel,
        Self::MissingLabel,
        Self::ExtraLabel,
        Self::IncorrectLabel,
        Self::MissingHeader,
        Self::BlankRow,
        Self::ExtraCell,
        Self::MissingCell,
        Self::StrayQuote,
        Self::TextAfterQuote,
        Self::UnclosedQuote,
        Self::BareCr,
        Self::NulByte,
        Self::BadEscape,
        Self::JsonSyntax,
        Self::JsonTruncated,
        Self::JsonBom,
        Self::DuplicateName,
        Self::LoneSurrogate,
        Self::NumberRange,
        Self::BlankLine,
        Self::SplitValue,
        Self::SchemaError,
        Self::SchemaTooExpensive,
        Self::TypeError,
        Self::ConstraintError,
        Self::UniqueError,
        Self::PrimaryKey,
        Self::ForeignKey,
        Self::JsonDepth,
        Self::RecordBytes,
        Self::RecordLines,
        Self::RowFields,
        Self::TokenBytes,
        Self::DocumentBytes,
        Self::KeyMemory,
        Self::CompressedData,
        Self::UnpackedBytes,
        Self::UnpackRatio,
    ];

    /// The name on the wire, in reports and for `tidegate validate --explain`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid-utf8",
            Self::BlankHeader => "blank-header",
            Self::DuplicateLabel => "duplicate-label",
            Self::MissingLabel => "missing-label",
            Self::ExtraLabel => "extra-label",
            Self::IncorrectLabel => "incorrect-label",
            Self::MissingHeader => "missing-header",
            Self::BlankRow => "blank-row",
            Self::ExtraCell => "extra-cell",
            Self::MissingCell => "missing-cell",
            Self::StrayQuote => "stray-quote",
            Self::TextAfterQuote => "text-after-quote",
            Self::UnclosedQuote => "unclosed-quote",
            Self::BareCr => "bare-cr",
            Self::NulByte => "nul-byte",
            Self::BadEscape => "bad-escape",
            Self::JsonSyntax => "json-syntax",
            Self::JsonTruncated => "json-truncated",
            Self::JsonBom => "json-bom",
            Self::DuplicateName => "duplicate-name",
            Self::LoneSurrogate => "lone-surrogate",
            Self::NumberRange => "number-range",
            Self::BlankLine => "blank-line",
            Self::SplitValue => "split-value",
            Self::SchemaError => "schema-error",
            Self::SchemaTooExpensive => "schema-too-expensive",
            Self::TypeError => "type-error",
            Self::ConstraintError => "constraint-error",
            Self::UniqueError => "unique-error",
            Self::PrimaryKey => "primary-key",
            Self::ForeignKey => "foreign-key",
            Self::JsonDepth => "json-depth",
            Self::RecordBytes => "record-bytes",
            Self::RecordLines => "record-lines",
            Self::RowFields => "row-fields",
            Self::TokenBytes => "token-bytes",
            Self::DocumentBytes => "document-bytes",
            Self::KeyMemory => "key-memory",
            Self::CompressedData => "compressed-data",
            Self::UnpackedBytes => "unpacked-bytes",
            Self::UnpackRatio => "unpack-ratio",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
