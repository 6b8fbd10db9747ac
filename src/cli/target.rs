//! Where the server is that a subcommand speaks to.

/// Where a server listens unless it is told otherwise.
const DEFAULT_TO: &str = "127.0.0.1:5010";

/// The environment variable that names the server.
const TO_VARIABLE: &str = "TIDEGATE_TO";

/// The server's address: what was given, or what the environment says, or the default.
///
/// # Errors
/// What is wrong with what the environment says.
pub(super) fn server(given: Option<&str>) -> Result<String, String> {
    match (given, std::env::var(TO_VARIABLE)) {
        (Some(to), _) => Ok(to.to_owned()),
        (None, Ok(to)) if !to.is_empty() => address(&to).map_err(|flaw| format!("{TO_VARIABLE}: {flaw}")),
        (None, Ok(_) | Err(_)) => Ok(DEFAULT_TO.to_owned()),
    }
}

/// `host:port`; what the host is, only the name service can say.
pub(super) fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(1..))) if !host.is_empty() && !host.contains('/') => Ok(text.to_owned()),
        Some(_) | None => Err(format!("{text:?} is not HOST:PORT, such as {DEFAULT_TO}")),
    }
}
