//! Versions: the keys beside a name that is taken.

use super::Key;
use crate::error::Result;

/// The most bytes that the number of a version adds to a name: `~9999`.
const MAX_NUMBER_BYTES: usize = 5;

impl Key {
    /// The key beside this one that holds version `number`: `a/b.csv` becomes `a/b~2.csv`. A long
    /// name is cut before its extension, at the same character for every number up to 9,999.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`](crate::error::ErrorKind::BadName) where even so that is too long.
    pub fn version(&self, number: u32) -> Result<Self> {
        let (stem, extension) = self.around_version();
        format!("{stem}~{number}{extension}").parse()
    }

    /// As [`version`](Self::version), of the component before which there are `depth`: at 0,
    /// `a/b.csv` becomes `a~2/b.csv`.
    pub(crate) fn version_at(&self, depth: usize, number: u32) -> Result<Self> {
        let (stem, extension) = self.around_version_at(depth);
        format!("{stem}~{number}{extension}").parse()
    }

    /// The parts of the key before and behind the number of a version.
    pub(crate) fn around_version(&self) -> (&str, &str) {
        self.around_version_at(self.components().count() - 1)
    }

    /// The parts of the key before and behind the number of a version of the component before which there
    /// are `depth`.
    fn around_version_at(&self, depth: usize) -> (&str, &str) {
        let start: usize = self.components().take(depth).map(|before| before.len() + 1).sum();
        let component = self.components().nth(depth).unwrap_or_default();
        let others = self.0.len() - component.len();
        let room = Self::MAX_COMPONENT_BYTES.min(Self::MAX_BYTES - others).saturating_sub(MAX_NUMBER_BYTES);
        let (stem_bytes, extension_bytes) = cut(component, room);
        (&self.0[..start + stem_bytes], &self.0[start + component.len() - extension_bytes..])
    }

    /// The key up to its extension, and that with its dot.
    pub(crate) fn around_extension(&self) -> (&str, &str) {
        let extension = extension_of(self.file_name());
        self.0.split_at(self.0.len() - extension.len())
    }
}

/// A name without the numbers of versions in its components: `day.csv` for `day~2.csv`, `p/a` for
/// `p~2/a`. `None` where it has none.
pub(crate) fn unversioned(name: &str) -> Option<String> {
    let component = |component: &str| {
        let (stem, extension) = component.split_at(component.len() - extension_of(component).len());
        match stem.rsplit_once('~') {
            Some((stem, number)) if !stem.is_empty() && number.parse::<u32>().is_ok_and(|number| number > 1) => {
                stem.to_owned() + extension
            }
            Some(_) | None => component.to_owned(),
        }
    };
    let plain = name.split('/').map(component).collect::<Vec<_>>().join("/");
    (plain != name).then_some(plain)
}

/// The extension of a component with its dot, if it has one.
fn extension_of(component: &str) -> &str {
    match component.rfind('.') {
        Some(dot) if dot > 0 => &component[dot..],
        Some(_) | None => "",
    }
}

/// How many bytes of a component to keep, of its stem and of its extension, so that they fit in
/// `room` bytes. A stem keeps a character at least; an extension that leaves no room for one is
/// none.
fn cut(component: &str, room: usize) -> (usize, usize) {
    let extension = extension_of(component).len();
    if component.len() <= room {
        return (component.len() - extension, extension);
    }
    let kept = [extension, 0].map(|extension| (component.floor_char_boundary(room.saturating_sub(extension)), extension));
    let kept = kept.into_iter().find(|(stem, _)| *stem > 0);
    // There is no room at all: what becomes too long by a number is refused as a key.
    kept.unwrap_or((component.len() - extension, extension))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_name_without_the_numbers_of_its_versions() {
        for (name, plain) in [
            ("day~2.csv", Some("day.csv")),
            ("day.csv~2.gz", Some("day.csv.gz")),
            ("p~12/a", Some("p/a")),
            ("p~2/day~3.csv", Some("p/day.csv")),
            ("day~2.csv.gz", None),
            ("day~1.csv", None),
            ("~2.csv", None),
            ("day~x.csv", None),
            ("day.csv", None),
        ] {
            assert_eq!(unversioned(name).as_deref(), plain, "{name}");
        }
    }

    #[test]
    fn a_version_stands_beside_its_original() {
        let version = |name: &str, number| name.parse::<Key>().unwrap().version(number).map(String::from);
        assert_eq!(version("a/b.csv", 2).unwrap(), "a/b~2.csv");
        assert_eq!(version("a.b/c", 3).unwrap(), "a.b/c~3");
        assert_eq!(version("a.tar.gz", 10).unwrap(), "a.tar~10.gz");
        let version_at = |name: &str, depth| name.parse::<Key>().unwrap().version_at(depth, 2).map(String::from);
        assert_eq!(version_at("a/b.bin/c.csv", 0).unwrap(), "a~2/b.bin/c.csv");
        assert_eq!(version_at("a/b.bin/c.csv", 1).unwrap(), "a/b~2.bin/c.csv");
        assert_eq!(version_at("a/b.bin/c.csv", 2).unwrap(), "a/b.bin/c~2.csv");
    }

    #[test]
    fn a_version_of_a_long_name_is_cut_before_its_extension() {
        let x = |bytes: usize| "x".repeat(bytes);
        let cases = [
            (x(246) + ".csv", x(246) + "~2.csv"),
            (x(247) + ".csv", x(246) + "~2.csv"),
            (x(255), x(250) + "~2"),
            ("\u{e9}".repeat(127), "\u{e9}".repeat(125) + "~2"),
            // Too long for an extension.
            ("a.".to_owned() + &x(250), "a.".to_owned() + &x(248) + "~2"),
        ];
        for (name, version) in cases {
            assert_eq!(name.parse::<Key>().unwrap().version(2).unwrap().as_str(), version, "{name}");
        }
    }

    #[test]
    fn a_version_of_a_key_that_is_as_long_as_can_be_is_cut_too() {
        let longest = |name: &str| {
            let rest = Key::MAX_BYTES - 3 * 256 - 1 - name.len();
            let above = [255, 255, 255, rest].map(|bytes| "x".repeat(bytes)).join("/");
            (format!("{above}/{name}").parse::<Key>().unwrap(), above)
        };
        let (key, above) = longest("abcdef.csv");
        assert_eq!(key.as_str().len(), Key::MAX_BYTES);
        assert_eq!(key.version(9_999).unwrap().as_str(), format!("{above}/a~9999.csv"));
        // Without room for one character there is no version.
        assert_eq!(longest("abcd").0.version(2).unwrap_err().kind(), ErrorKind::BadName);
    }

    fn component() -> impl Strategy<Value = String> {
        let chars = "aZ7~. \u{e9}\u{301}\u{338}\u{1100}\u{1161}\u{6f22}\u{1f600}".chars().collect::<Vec<_>>();
        let stem = prop::collection::vec(prop::sample::select(chars), 255);
        let bytes = prop_oneof![1..12_usize, 240..=255_usize];
        (stem, bytes, prop::sample::select(vec!["", ".csv", ".tar.gz"])).prop_map(|(stem, bytes, extension)| {
            let stem: String = stem.into_iter().collect();
            let end = stem.floor_char_boundary(bytes.saturating_sub(extension.len()).max(1));
            format!("{}{extension}", &stem[..end])
        })
    }

    /// The stem and the extension of version `number` of a component, if it is that.
    fn parts<'a>(version: &'a str, component: &str, number: u32) -> Option<(&'a str, &'a str)> {
        let mark = format!("~{number}");
        let parts = version.match_indices(&mark).map(|(at, _)| (&version[..at], &version[at + mark.len()..]));
        let is_of = |(stem, extension): &(&str, &str)| {
            let is_extension = extension.is_empty() || extension.starts_with('.');
            !stem.is_empty() && component.starts_with(stem) && component.ends_with(extension) && is_extension
        };
        parts.into_iter().find(is_of)
    }

    proptest! {
        #[test]
        fn every_version_of_every_name_is_a_key_beside_it(components in prop::collection::vec(component(), 1..6)) {
            let Ok(key) = components.join("/").parse::<Key>() else { return Err(TestCaseError::reject("no key")) };
            let names: Vec<&str> = key.components().collect();
            for (depth, name) in names.iter().enumerate() {
                let mut stems = HashSet::new();
                for number in [2, 9, 10, 99, 100, 999, 1_000, 9_999] {
                    let Ok(version) = key.version_at(depth, number) else {
                        let others = key.as_str().len() - name.len();
                        prop_assert!(others + MAX_NUMBER_BYTES + ".tar.gz".len() + 4 > Key::MAX_BYTES, "{:?}", key);
                        continue;
                    };
                    let text = version.as_str();
                    prop_assert!(text.len() <= Key::MAX_BYTES && text.nfc().eq(text.chars()));
                    let changed: Vec<&str> = version.components().collect();
                    prop_assert!(changed.iter().all(|name| name.len() <= Key::MAX_COMPONENT_BYTES));
                    prop_assert_eq!((&changed[..depth], &changed[depth + 1..]), (&names[..depth], &names[depth + 1..]));
                    let parts = parts(changed[depth], name, number);
                    prop_assert!(parts.is_some(), "{:?} of {:?}", changed[depth], name);
                    stems.extend(parts.map(|(stem, extension)| (stem.to_owned(), extension.to_owned())));
                }
                prop_assert!(stems.len() <= 1, "{:?}", stems);
            }
        }
    }
}
