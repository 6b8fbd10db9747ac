//! Who is measured, and how each of them is started.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::load::Speech;

/// The server that this is about.
pub(crate) const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");
const THREADED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/threaded.py");

/// A server under measurement, and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) server: Server,
    pub(crate) speech: Speech,
    pub(crate) then: Then,
    /// What the names of its files end with, where not with what they hold: so a server that validates by name does not.
    pub(crate) extension: Option<&'static str>,
}

/// What belongs to a run behind the last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// The file is flushed, because the server does not.
    Sync,
}

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// With these variables besides what all of them have.
    Tidegate {
        variables: Vec<(String, String)>,
    },
    Threaded,
    Socat,
    Nginx,
    Dufs,
    /// None: the tools that hash and copy a file.
    HashAndCopy,
}

impl Contender {
    pub(crate) fn new(name: &str, server: Server, speech: Speech) -> Self {
        Self { name: name.to_owned(), server, speech, then: Then::Nothing, extension: None }
    }

    /// tidegate on a folder; `durability` as its configuration has it.
    pub(crate) fn tidegate(name: &str, durability: &str, speech: Speech) -> Self {
        let variables = vec![("TIDEGATE__SINK__FS__DURABILITY".to_owned(), durability.to_owned())];
        Self::new(name, Server::Tidegate { variables }, speech)
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    pub(crate) fn sent_as(self, extension: &'static str) -> Self {
        Self { extension: Some(extension), ..self }
    }

    /// The program that is missing here.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let program = match self.server {
            Server::Tidegate { .. } | Server::HashAndCopy => return None,
            Server::Threaded => "python3",
            Server::Socat => "socat",
            Server::Nginx => "nginx",
            Server::Dufs => "dufs",
        };
        find(program).is_none().then_some(program)
    }
}

impl Server {
    /// The command that serves `folder` on `port`. What the server says goes to a log below `scratch`.
    pub(crate) fn command(&self, scratch: &Path, port: u16) -> io::Result<Command> {
        let folder = files(scratch);
        fs::create_dir_all(&folder)?;
        let mut command = match self {
            Self::Tidegate { variables } => {
                let mut command = Command::new(TIDEGATE);
                command
                    .arg("serve")
                    .env("TIDEGATE__LISTEN__TCP", format!("127.0.0.1:{port}"))
                    .env("TIDEGATE__LISTEN__ADMIN", "127.0.0.1:0")
                    .env("TIDEGATE__SINK__FS__ROOT", &folder)
                    .envs(variables.iter().map(|(name, value)| (name, value)));
                command
            }
            Self::Threaded => {
                let mut command = Command::new("python3");
                command.arg(THREADED).arg(port.to_string()).arg(&folder);
                command
            }
            Self::Socat => {
                let mut command = Command::new("socat");
                let listen = format!("TCP4-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork");
                command.args(["-u", "-b", "65536", &listen]).arg(format!("CREATE:{}", folder.join("stream").display()));
                command
            }
            Self::Nginx => {
                let config = scratch.join("nginx.conf");
                fs::write(&config, nginx_config(scratch, &folder, port))?;
                let mut command = Command::new(find("nginx").unwrap_or_else(|| "nginx".into()));
                command.arg("-p").arg(scratch).arg("-e").arg(scratch.join("nginx.log")).arg("-c").arg(config);
                command
            }
            Self::Dufs => {
                let mut command = Command::new("dufs");
                command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--allow-all"]).arg(&folder);
                command
            }
            Self::HashAndCopy => return Err(io::Error::other("it is no server")),
        };
        let log = File::create(scratch.join("server.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}

/// Where the files of a run lie.
pub(crate) fn files(scratch: &Path) -> PathBuf {
    scratch.join("files")
}

/// As its documentation shows it, with a folder for bodies on the same file system, so that a `PUT` ends with a rename.
fn nginx_config(scratch: &Path, folder: &Path, port: u16) -> String {
    let (scratch, folder) = (scratch.display(), folder.display());
    format!(
        "daemon off; worker_processes auto; pid {scratch}/nginx.pid;
user {};
events {{ worker_connections 1024; }}
http {{
    access_log {scratch}/access.log;
    client_body_temp_path {scratch}/bodies;
    client_max_body_size 0;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {folder}; dav_methods PUT; create_full_put_path on; }}
    }}
}}
",
        user()
    )
}

/// nginx started by root hands its work to another user, who could not write here.
fn user() -> String {
    let named = Command::new("id").arg("-un").stderr(Stdio::null()).output();
    named
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "root".to_owned(), |name| name.trim().to_owned())
}

/// A program by its name, also where only an administrator's PATH has it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
