//! The clients for S3 and what speaks like it.
//!
//! Besides the usual client there is one that completes multipart uploads only where nothing lies under the key.
//! `object_store` has no call for that, but adds a client's default headers before it signs, and a condition is a header. So
//! is a checksum, and a wrong one shows whether the store compares it.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, Checksum};
use object_store::client::HttpConnector as _;
use object_store::{ClientConfigKey, ClientOptions, RetryConfig, StaticCredentialProvider};

use super::remote::Clients;
use super::request_limit::RequestLimit;
use super::unfinished::{Lister, Unfinished};
use crate::config::S3;
use crate::error::{Error, ErrorKind, Result};

/// What S3 asks of every part but the last, in bytes: Amazon S3 User Guide, "Amazon S3 multipart upload limits".
const MIN_PART_BYTES: u64 = 5 << 20;
const MAX_PART_BYTES: u64 = 5 << 30;

/// The checksum of what a request brings: Amazon S3 User Guide, "Checking object integrity in Amazon S3".
const CRC64NVME: HeaderName = HeaderName::from_static("x-amz-checksum-crc64nvme");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket that can be spoken to.
pub(super) struct Connection {
    /// Tries again for as long as is configured.
    pub(super) patient: Clients,
    /// Gives up after some seconds.
    pub(super) hasty: Clients,
    /// Tells what was left unfinished.
    pub(super) unfinished: Arc<dyn Unfinished>,
    /// The store in words.
    pub(super) store: String,
}

/// The clients for the configured bucket; nothing is sent yet.
///
/// # Errors
/// [`ErrorKind::Config`] where the configuration can't work, with the key that is at fault.
pub(super) fn connect(config: &S3) -> Result<Connection> {
    check(config)?;
    let long = Patience {
        request: config.request_timeout,
        connect: CONNECT_TIMEOUT.min(config.request_timeout),
        retry: RetryConfig { retry_timeout: config.retry_timeout, ..RetryConfig::default() },
    };
    let short = Patience {
        request: Duration::from_secs(5).min(config.request_timeout),
        connect: Duration::from_secs(2).min(config.request_timeout),
        retry: RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(5), ..RetryConfig::default() },
    };
    let limit = RequestLimit::new(config.max_requests);
    let apart = RequestLimit::apart(config.max_requests);
    let (patient, hasty) = (clients(config, &long, &limit)?, clients(config, &short, &apart)?);
    let endpoint = endpoint(config).map_or_else(|| format!("AWS ({})", config.region), |(_, endpoint)| endpoint);
    let store = format!("bucket {:?} at {endpoint}", config.bucket);
    let lister = Lister {
        s3: build(builder(config, &long, &limit).with_client_options(options(config, &long)))?,
        http: limit.connect(&options(config, &long)).map_err(unusable)?,
        store: store.clone(),
    };
    Ok(Connection { patient, hasty, unfinished: Arc::new(lister), store })
}

/// How long to wait, and how often to try.
struct Patience {
    request: Duration,
    connect: Duration,
    retry: RetryConfig,
}

fn check(config: &S3) -> Result<()> {
    let bad = |message: String| Err(Error::new(ErrorKind::Config, message));
    if config.bucket.is_empty() {
        return bad("sink.s3.bucket is not set".to_owned());
    }
    if !(MIN_PART_BYTES..=MAX_PART_BYTES).contains(&config.part_bytes) {
        return bad(format!("sink.s3.part_bytes is {}: S3 takes parts of 5 MiB to 5 GiB", config.part_bytes));
    }
    if config.parts_in_flight == 0 {
        return bad("sink.s3.parts_in_flight is 0: with no part on its way, none arrives".to_owned());
    }
    if config.access_key_id.is_some() != config.secret_access_key.is_some() {
        return bad("sink.s3.access_key_id and sink.s3.secret_access_key must be set together".to_owned());
    }
    if let Err(error) = object_store::path::Path::parse(format!("{}/x", config.prefix)) {
        return Err(
            Error::new(ErrorKind::Config, format!("sink.s3.prefix {:?} can't begin a key", config.prefix)).because(error)
        );
    }
    let Some((key, endpoint)) = endpoint(config) else { return Ok(()) };
    match endpoint.split_once("://") {
        Some(("https", host)) if !host.is_empty() => Ok(()),
        Some(("http", host)) if !host.is_empty() && allows_http(config) => Ok(()),
        Some(("http", host)) if !host.is_empty() => {
            bad(format!("{key} {endpoint:?} is not encrypted: use https://, or set sink.s3.allow_http = true"))
        }
        Some(_) | None => bad(format!("{key} {endpoint:?} is not a URL such as https://s3.example.com")),
    }
}

/// The endpoint that is in force and what set it; `None` for AWS itself.
fn endpoint(config: &S3) -> Option<(&'static str, String)> {
    let (key, endpoint) = match &config.endpoint {
        Some(endpoint) => ("sink.s3.endpoint", endpoint.clone()),
        None => ("AWS_ENDPOINT_URL", AmazonS3Builder::from_env().get_config_value(&AmazonS3ConfigKey::Endpoint)?),
    };
    Some((key, endpoint.trim_end_matches('/').to_owned()))
}

fn allows_http(config: &S3) -> bool {
    config.allow_http || options_of_environment().get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true")
}

/// What `AWS_*` variables say of the client: `AWS_PROXY_URL` and the like.
fn options_of_environment() -> ClientOptions {
    std::env::vars().fold(ClientOptions::new(), |options, (name, value)| {
        if !name.starts_with("AWS_") {
            return options;
        }
        match name.to_ascii_lowercase().parse() {
            Ok(AmazonS3ConfigKey::Client(key)) => options.with_config(key, value),
            Ok(_) | Err(_) => options,
        }
    })
}

fn clients(config: &S3, patience: &Patience, limit: &RequestLimit) -> Result<Clients> {
    let options = options(config, patience);
    let plain = build(builder(config, patience, limit).with_client_options(options.clone()))?;
    // With the first one's credentials, so that no header goes to whoever gives out tokens.
    let another = |headers: HeaderMap| {
        builder(config, patience, limit)
            .with_client_options(options.clone().with_default_headers(headers))
            .with_credentials(Arc::clone(plain.credentials()))
    };
    let creating = another(HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("*"))]));
    let checked = another(HeaderMap::new()).with_unsigned_payload(true).with_checksum_algorithm(Checksum::CRC64NVME);
    let lie = HeaderMap::from_iter([(CRC64NVME, HeaderValue::from_static("AAAAAAAAAAA="))]);
    let lying = another(lie).with_unsigned_payload(true);
    let [creating, checked, lying] = [build(creating)?, build(checked)?, build(lying)?].map(Arc::new);
    Ok(Clients { plain: Arc::new(plain), creating, checked, lying })
}

fn options(config: &S3, patience: &Patience) -> ClientOptions {
    options_of_environment()
        .with_timeout(patience.request)
        .with_connect_timeout(patience.connect)
        .with_allow_http(allows_http(config))
}

fn build(builder: AmazonS3Builder) -> Result<AmazonS3> {
    builder.build().map_err(unusable)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn unusable(error: object_store::Error) -> Error {
    Error::new(ErrorKind::Config, "sink.s3 can't be used as it is").because(error.to_string())
}

fn builder(config: &S3, patience: &Patience, limit: &RequestLimit) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_retry(patience.retry.clone())
        .with_http_connector(limit.clone())
        // One DELETE an object: not every store knows the request that deletes many.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_virtual_hosted_style_request(false);
    }
    if let (Some(key_id), Some(secret)) = (&config.access_key_id, &config.secret_access_key) {
        // A provider, and not the builder's own keys: a session token of the environment does not belong to these.
        let credential = AwsCredential { key_id: key_id.clone(), secret_key: secret.0.clone(), token: None };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Integrity, Secret};

    fn config() -> S3 {
        S3 {
            endpoint: Some("http://127.0.0.1:9000/".to_owned()),
            bucket: "files".to_owned(),
            prefix: String::new(),
            region: "us-east-1".to_owned(),
            access_key_id: Some("key".to_owned()),
            secret_access_key: Some(Secret("very secret".to_owned())),
            allow_http: true,
            integrity: Integrity::Checksum,
            part_bytes: MIN_PART_BYTES,
            parts_in_flight: 2,
            request_timeout: Duration::from_secs(30),
            max_requests: 2,
            retry_timeout: Duration::from_mins(1),
        }
    }

    #[test]
    fn a_good_configuration_connects_without_a_request() {
        let connection = connect(&config()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(connection.store, "bucket \"files\" at http://127.0.0.1:9000");
    }

    #[test]
    fn a_bad_configuration_is_told_with_the_key_at_fault() {
        type Spoil = fn(&mut S3);
        let cases: [(&str, Spoil); 6] = [
            ("sink.s3.allow_http", |config| config.allow_http = false),
            ("sink.s3.bucket", |config| config.bucket = String::new()),
            ("sink.s3.endpoint", |config| config.endpoint = Some("minio:9000".to_owned())),
            ("sink.s3.part_bytes", |config| config.part_bytes = 1 << 20),
            ("sink.s3.parts_in_flight", |config| config.parts_in_flight = 0),
            ("sink.s3.secret_access_key", |config| config.secret_access_key = None),
        ];
        for (key, spoil) in cases {
            let mut config = config();
            spoil(&mut config);
            let error = connect(&config).err().expect(key);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn no_secret_is_ever_printed() {
        let sink = super::super::Object::connect(&config()).unwrap();
        assert!(!format!("{sink:?}").contains("very secret"));
    }
}
