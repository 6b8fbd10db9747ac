//! Which multipart uploads a store holds that nobody has completed. `object_store` has no call for it: the request is signed
//! by its client, and the answer read here (Amazon S3 API Reference, `ListMultipartUploads`).

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::Method;
use object_store::MultipartId;
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};

use super::words::between;
use crate::error::{Error, ErrorKind, Result};

/// How long a signed request may be under way.
const EXPIRES: Duration = Duration::from_mins(5);

/// Somebody who knows the multipart uploads of a bucket.
#[async_trait]
pub(super) trait Unfinished: Debug + Send + Sync {
    /// All of them; none where the store does not know the question.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    async fn unfinished(&self) -> Result<Vec<Multipart>>;
}

/// A multipart upload that was neither completed nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Multipart {
    pub(super) path: Path,
    pub(super) id: MultipartId,
    /// By the store's clock.
    pub(super) initiated: SystemTime,
}

/// Asks S3.
#[derive(Debug)]
pub(super) struct Lister {
    /// Signs.
    pub(super) s3: AmazonS3,
    pub(super) http: HttpClient,
    /// The store in words.
    pub(super) store: String,
}

#[async_trait]
impl Unfinished for Lister {
    /// Without a prefix: `MinIO` takes that for the whole name of an object.
    async fn unfinished(&self) -> Result<Vec<Multipart>> {
        let mut found = Vec::new();
        let mut marker: Vec<(&str, String)> = Vec::new();
        loop {
            let Some(xml) = self.ask(&marker).await? else { return Ok(Vec::new()) };
            let page = Page::read(&xml);
            found.extend(page.uploads);
            match page.next {
                Some((key, id)) => marker = vec![("key-marker", key), ("upload-id-marker", id)],
                None => return Ok(found),
            }
        }
    }
}

impl Lister {
    /// One page; `None` where the store does not know the question.
    async fn ask(&self, marker: &[(&str, String)]) -> Result<Option<String>> {
        let query = [("uploads", String::new())].into_iter().chain(marker.iter().cloned());
        let options = SignedUrlOptions::default().with_query(query);
        let signed = self.s3.signed_url_opts(Method::GET, &Path::ROOT, EXPIRES, &options).await;
        let url = signed.map_err(|error| self.failed("the request can't be signed", error.to_string()))?;
        let request = http::Request::get(url.as_str()).body(HttpRequestBody::empty());
        let request = request.map_err(|error| self.failed("the request can't be made", error.to_string()))?;
        let broke = |error: object_store::client::HttpError| self.failed("the connection broke", error.to_string());
        let answer = self.http.execute(request).await.map_err(broke)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(broke)?;
        let xml = String::from_utf8_lossy(&body).into_owned();
        if [http::StatusCode::NOT_IMPLEMENTED, http::StatusCode::METHOD_NOT_ALLOWED].contains(&status) {
            tracing::debug!(store = self.store, "the store does not list unfinished multipart uploads");
            return Ok(None);
        }
        if status.is_success() && xml.contains("ListMultipartUploadsResult") {
            return Ok(Some(xml));
        }
        let said = between(&xml, "<Code>", "</Code>").unwrap_or_default();
        Err(self.failed("the credentials need s3:ListBucketMultipartUploads", format!("{status} {said}")))
    }

    fn failed(&self, reason: &str, said: String) -> Error {
        let message = format!("listing the unfinished multipart uploads of {}: {reason}", self.store);
        Error::new(ErrorKind::Store, message).because(said)
    }
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    uploads: Vec<Multipart>,
    /// Where the next one begins: a key and an upload's id.
    next: Option<(String, String)>,
}

impl Page {
    /// What no tidegate can have opened, because its key or time is not such as it is used to, is left out.
    fn read(xml: &str) -> Self {
        let read = |upload: &str| {
            let upload = upload.split_once("</Upload>")?.0;
            Some(Multipart {
                path: Path::parse(text(upload, "Key")?).ok()?,
                id: text(upload, "UploadId")?,
                initiated: humantime::parse_rfc3339(&text(upload, "Initiated")?).ok()?,
            })
        };
        let uploads = xml.split("<Upload>").skip(1).filter_map(read).collect();
        let truncated = text(xml, "IsTruncated").as_deref() == Some("true");
        let next = || Some((text(xml, "NextKeyMarker")?, text(xml, "NextUploadIdMarker")?));
        Self { uploads, next: truncated.then(next).flatten() }
    }
}

/// What stands in the first element of this name.
fn text(xml: &str, name: &str) -> Option<String> {
    between(xml, &format!("<{name}>"), &format!("</{name}>")).map(unescape)
}

/// XML 1.0, section 4.6 (predefined entities) and 4.1 (character references).
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        plain.push_str(before);
        let (name, after) = behind.split_once(';').unwrap_or((behind, ""));
        match name {
            "amp" => plain.push('&'),
            "lt" => plain.push('<'),
            "gt" => plain.push('>'),
            "quot" => plain.push('"'),
            "apos" => plain.push('\''),
            _ => plain.extend(reference(name)),
        }
        rest = after;
    }
    plain + rest
}

fn reference(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let code = match number.strip_prefix('x') {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_where_the_next_one_begins() {
        let xml = "<?xml version=\"1.0\"?><ListMultipartUploadsResult><NextKeyMarker>b&amp;c</NextKeyMarker>\
            <NextUploadIdMarker>2</NextUploadIdMarker><IsTruncated>true</IsTruncated>\
            <Upload><Key>a&lt;b&#x2f;c&#100;.csv</Key><UploadId>1</UploadId><Initiated>1970-01-01T00:00:01.500Z</Initiated></Upload>\
            <Upload><Key>//</Key><UploadId>1</UploadId><Initiated>1970-01-01T00:00:01Z</Initiated></Upload>\
            </ListMultipartUploadsResult>";
        let page = Page::read(xml);
        assert_eq!(page.next, Some(("b&c".to_owned(), "2".to_owned())));
        let initiated = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(page.uploads, [Multipart { path: Path::parse("a<b/cd.csv").unwrap(), id: "1".to_owned(), initiated }]);
        assert_eq!(Page::read(&xml.replace("true", "false")).next, None);
    }
}
