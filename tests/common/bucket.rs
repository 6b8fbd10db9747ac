//! A bucket at a store that speaks S3, looked at with a client of the tests' own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{Attribute, GetOptions, ObjectStore, ObjectStoreExt};
use tidegate::config::{Integrity, S3, Secret};

/// A bucket and how to get at it.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub endpoint: String,
    pub name: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Bucket {
    /// A sink's configuration for what lies below `prefix`.
    pub fn config(&self, prefix: &str) -> S3 {
        S3 {
            endpoint: Some(self.endpoint.clone()),
            bucket: self.name.clone(),
            prefix: prefix.to_owned(),
            region: "us-east-1".to_owned(),
            access_key_id: Some(self.access_key_id.clone()),
            secret_access_key: Some(Secret(self.secret_access_key.clone())),
            allow_http: true,
            integrity: Integrity::Checksum,
            part_bytes: 5 << 20,
            parts_in_flight: 2,
            request_timeout: Duration::from_mins(1),
            max_requests: 64,
            retry_timeout: Duration::from_mins(1),
        }
    }

    /// A client of the tests' own.
    pub fn client(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_bucket_name(&self.name)
            .with_region("us-east-1")
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(&self.secret_access_key)
            .with_allow_http(true)
            .build()
            .unwrap()
    }

    /// The bytes of an object.
    pub async fn read(&self, path: &str) -> Option<Vec<u8>> {
        match self.client().get(&Path::parse(path).unwrap()).await {
            Ok(object) => Some(object.bytes().await.unwrap().to_vec()),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => panic!("reading {path}: {error}"),
        }
    }

    /// Content type (as `content-type`) and metadata of an object.
    pub async fn attributes(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let head = self.client().get_opts(&Path::parse(path).unwrap(), GetOptions::new().with_head(true)).await.ok()?;
        let name = |attribute: &Attribute| match attribute {
            Attribute::ContentType => Some("content-type".to_owned()),
            Attribute::Metadata(name) => Some(name.to_string()),
            _ => None,
        };
        let pairs = head.attributes.iter().filter_map(|(key, value)| Some((name(key)?, value.to_string())));
        Some(pairs.collect())
    }

    /// The paths of all objects, in order.
    pub async fn list(&self) -> Vec<String> {
        let objects: Vec<_> = self.client().list(None).try_collect().await.unwrap();
        let mut paths: Vec<_> = objects.into_iter().map(|object| object.location.to_string()).collect();
        paths.sort();
        paths
    }

    /// Makes the bucket (Amazon S3 API Reference, `CreateBucket`).
    pub async fn create(&self) {
        let answer = self.ask(Method::PUT, &[]).await;
        assert!(answer.0, "{}", answer.1);
    }

    /// Whether the bucket is there, made now if need be, and takes objects: some stores need a
    /// while after their start.
    pub async fn is_usable(&self) -> bool {
        self.ask(Method::PUT, &[]).await;
        let path = Path::parse("usable").unwrap();
        self.client().put(&path, "?".into()).await.is_ok() && self.client().delete(&path).await.is_ok()
    }

    /// The keys of unfinished multipart uploads (Amazon S3 API Reference, `ListMultipartUploads`).
    pub async fn unfinished(&self) -> Vec<String> {
        let (listed, xml) = self.ask(Method::GET, &[("uploads", "")]).await;
        assert!(listed, "{xml}");
        let uploads = xml.split("<Upload>").skip(1);
        let between = |upload: &str, name: &str| {
            let (_, rest) = upload.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside.to_owned())
        };
        let mut unfinished = Vec::new();
        for upload in uploads {
            let key = between(upload, "Key").unwrap_or_else(|| upload.to_owned()).replace("&amp;", "&");
            let id = between(upload, "UploadId").unwrap_or_default();
            // MinIO lists some that it has completed: its list is of another memory than its uploads (`mpCache`).
            let (path, query) = (Path::parse(&key).unwrap(), [("uploadId", id.as_str())]);
            if self.ask_of(Method::GET, &path, &query).await.0 {
                unfinished.push(key);
            }
        }
        unfinished
    }

    /// Sends a request about the bucket itself; whether it was done, and the answer.
    async fn ask(&self, method: Method, query: &[(&str, &str)]) -> (bool, String) {
        self.ask_of(method, &Path::ROOT, query).await
    }

    /// The same of an object.
    async fn ask_of(&self, method: Method, path: &Path, query: &[(&str, &str)]) -> (bool, String) {
        let options = SignedUrlOptions::default().with_query(query.iter().copied());
        let minute = Duration::from_mins(1);
        let url = self.client().signed_url_opts(method.clone(), path, minute, &options).await.unwrap();
        let answer =
            reqwest::Client::new().request(method, url.as_str()).header("content-length", "0").send().await.unwrap();
        (answer.status().is_success(), answer.text().await.unwrap())
    }
}
