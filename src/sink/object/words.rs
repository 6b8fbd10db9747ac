//! A store's errors in the words of somebody who has to mend it at night.

use std::error::Error as StdError;
use std::fmt::Display;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

use super::remote::Remote;
use crate::error::{Error, ErrorKind};

impl Remote {
    /// What came of `doing`: the reason as far as it is known, then what the store said.
    pub(super) fn failed(&self, doing: impl Display, error: &StoreError) -> Error {
        failed(&self.store, doing, error)
    }
}

/// As [`Remote::failed`], for who outlives the remote.
pub(super) fn failed(store: &str, doing: impl Display, error: &StoreError) -> Error {
    let (kind, reason) = reason(store, error);
    Error::new(kind, format!("{doing}: {reason}")).because(brief(error))
}

/// What stores say where there is no such bucket, and can be none.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "InvalidBucketName"];

/// Whether the store refused a conditional request because something lies under the key, or somebody writes there.
pub(super) fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } | StoreError::NotModified { .. })
}

/// Whether the store's answer itself says that nothing was done, whatever cannot be seen of it.
pub(super) fn is_certain(error: &StoreError) -> bool {
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } | StoreError::NotImplemented { .. } => true,
        _ => has_code(&error.to_string(), &NO_BUCKET),
    }
}

/// Whether the store does not know, or no longer, what was spoken of: a multipart upload that it has dropped.
pub(super) fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. }) && !has_code(&error.to_string(), &NO_BUCKET)
}

/// Whether the store refused what it got because that is not what its checksum says: `BadDigest` by Amazon S3's API Reference
/// ("Error responses"), the other one by MinIO.
pub(super) fn is_mismatch(error: &StoreError) -> bool {
    has_code(&error.to_string(), &["BadDigest", "XAmzContentChecksumMismatch"])
}

/// Whether the store answered that it does not take such a request, and would say so again.
pub(super) fn is_unsupported(error: &StoreError) -> bool {
    let text = error.to_string();
    let is_refused = text.contains("400 Bad Request") || text.contains("501 Not Implemented");
    is_refused && !has_code(&text, &["RequestTimeout"])
}

/// Whether it was the connection that failed, and not the store.
pub(super) fn is_broken(error: &StoreError) -> bool {
    transport(error).is_some()
}

/// What to call a store's error, and why it may have come.
fn reason(store: &str, error: &StoreError) -> (ErrorKind, String) {
    let text = error.to_string();
    let is = |codes: &[&str]| has_code(&text, codes);
    if text.contains("507 Insufficient Storage")
        || is(&["XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"])
    {
        return (ErrorKind::NoSpace, format!("{store} has no room left"));
    }
    let reason = if text.contains("169.254.169.254") {
        format!("no credentials for {store}: set sink.s3.access_key_id and sink.s3.secret_access_key, or AWS_* variables")
    } else if is(&NO_BUCKET) {
        format!("{store} does not exist: make the bucket, or check sink.s3.bucket and sink.s3.region")
    } else if is(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidTokenId", "ExpiredToken"]) {
        format!("{store} does not know these credentials: check sink.s3.access_key_id, sink.s3.secret_access_key and AWS_*")
    } else if is(&["RequestTimeTooSkewed"]) {
        format!("{store} and this machine do not agree on the time: check both clocks")
    } else if matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }) {
        format!(
            "{store} denies access: the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket, \
             s3:AbortMultipartUpload and s3:ListBucketMultipartUploads"
        )
    } else if text.contains("without LOCATION") || is(&["PermanentRedirect", "AuthorizationHeaderMalformed"]) {
        format!("{store} lies in another region: check sink.s3.region and sink.s3.endpoint")
    } else if is(&["SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable"]) {
        format!("{store} is overloaded")
    } else {
        match transport(error) {
            Some(HttpErrorKind::Connect) => {
                format!("{store} can't be reached: is it running, and is sink.s3.endpoint right?")
            }
            Some(HttpErrorKind::Timeout) => format!("{store} did not answer in time"),
            Some(_) => format!("the connection to {store} broke"),
            None => format!("{store} failed"),
        }
    };
    (ErrorKind::Store, reason)
}

/// How the request failed on its way, if it was there that it failed.
fn transport(error: &StoreError) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        cause = error.source();
    }
    None
}

fn has_code(text: &str, codes: &[&str]) -> bool {
    between(text, "<Code>", "</Code>").is_some_and(|found| codes.contains(&found))
}

/// What the store said, on one line and without the XML around it; an `object_store` error already prints its causes.
pub(super) fn brief(error: &StoreError) -> String {
    let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(code) = between(&text, "<Code>", "</Code>") else { return text };
    let before = text.split("<?xml").next().unwrap_or_default().split("<Error>").next().unwrap_or_default();
    let message = between(&text, "<Message>", "</Message>").unwrap_or_default();
    format!("{} {code}: {message}", before.trim_end())
}

pub(super) fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    rest.split_once(close).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn the_store_is_quoted_without_its_xml() {
        let xml = r#"status code: 404 Not Found: <?xml version="1.0"?><Error><Code>NoSuchBucket</Code><Message>No such bucket</Message></Error>"#;
        let error = generic(xml);
        assert_eq!(brief(&error), "Generic S3 error: status code: 404 Not Found: NoSuchBucket: No such bucket");
        let (kind, words) = reason("bucket \"b\" at http://x", &error);
        assert_eq!(kind, ErrorKind::Store);
        assert!(words.contains("does not exist") && words.contains("sink.s3.bucket"), "{words}");
        assert!(is_certain(&error));
    }

    #[test]
    fn a_full_store_is_told_from_a_broken_one() {
        let full = generic("507 Insufficient Storage: <Error><Code>XMinioStorageFull</Code></Error>");
        assert_eq!(reason("s", &full).0, ErrorKind::NoSpace);
        assert_eq!(reason("s", &generic("boom")).0, ErrorKind::Store);
        assert!(!is_certain(&generic("boom")));
    }
}
