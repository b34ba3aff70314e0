//! A token server as registries use it: the distribution project's "token authentication" specification.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{self, Request};
use crate::{base64, tools};

/// How long a token is good for, in seconds.
const LIFETIME: u64 = 300;

/// What the registry calls itself in its challenge.
pub(crate) const SERVICE: &str = "test-registry";
/// Who signs the tokens.
pub(crate) const ISSUER: &str = "test-issuer";

/// Hands signed tokens to one user with one password, and to anonymous clients tokens to pull.
pub struct TokenServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    keys: TempDir,
    certificate: String,
    user: String,
    password: String,
    requests: Mutex<Vec<Request>>,
}

impl TokenServer {
    /// Starts a server on a free port of loopback. Its thread lives until the test's process ends.
    pub fn start(user: &str, password: &str) -> TokenServer {
        let keys = tempfile::tempdir().unwrap();
        let path = |name: &str| keys.path().join(name).display().to_string();
        tools::run(
            "openssl",
            [
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=test issuer",
                "-keyout",
                &path("key.pem"),
                "-out",
                &path("cert.pem"),
            ],
        );
        let pem = std::fs::read_to_string(path("cert.pem")).unwrap();
        let certificate = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let shared = Arc::new(Shared {
            keys,
            certificate,
            user: user.to_owned(),
            password: password.to_owned(),
            requests: Mutex::default(),
        });
        let address = http::listen(&shared, Shared::answer);
        TokenServer { shared, address }
    }

    /// Returns the URL that registries name in their challenge.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Returns the certificate against which the registry checks tokens, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.shared.keys.path().join("cert.pem")
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Returns the refresh token ("identity token") that stands for user and password.
    pub fn refresh_token(&self) -> String {
        format!("refresh-{}", self.shared.user)
    }
}

impl Shared {
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        let Some(request) = Request::read(stream)? else { return Ok(()) };
        self.requests.lock().unwrap().push(request.clone());
        let known = match self.identify(&request) {
            Ok(known) => known,
            Err(()) => {
                return http::respond(stream, 401, &[], br#"{"details":"incorrect username or password"}"#);
            }
        };
        let token = self.token(&request.parameters("scope"), known);
        let body = json!({ "token": token, "access_token": token, "expires_in": LIFETIME });
        let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
        http::respond(stream, 200, &headers, body.to_string().as_bytes())
    }

    /// Tells whether the client is our user (`true`) or nobody (`false`); an error where it claims more than it knows.
    fn identify(&self, request: &Request) -> Result<bool, ()> {
        let field = |name: &str| request.parameters(name).into_iter().next().unwrap_or_default();
        let claimed = match field("grant_type").as_str() {
            "refresh_token" => {
                return if field("refresh_token") == format!("refresh-{}", self.user) {
                    Ok(true)
                } else {
                    Err(())
                };
            }
            "password" => Some((field("username"), field("password"))),
            _ => request.basic(),
        };
        match claimed {
            None => Ok(false),
            Some((user, password)) if user == self.user && password == self.password => Ok(true),
            Some(_) => Err(()),
        }
    }

    /// Makes a JSON web token (RFC 7519) for `scopes`, signed with RS256.
    fn token(&self, scopes: &[String], known: bool) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let scopes = scopes.iter().flat_map(|scope| scope.split(' '));
        let access: Vec<Value> = scopes.filter_map(|scope| grant(scope, known)).collect();
        let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [self.certificate] });
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": if known { &self.user } else { "" },
            "iat": now, "nbf": now - 10, "exp": now + LIFETIME, "jti": format!("{now}"), "access": access,
        });
        let signed = [header, claims].map(|part| base64::encode_url(part.to_string().as_bytes())).join(".");
        let signature = base64::encode_url(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let message = tempfile::NamedTempFile::new_in(self.keys.path()).unwrap();
        std::fs::write(message.path(), bytes).unwrap();
        let output = Command::new(tools::require("openssl"))
            .args(["dgst", "-sha256", "-sign"])
            .args([self.keys.path().join("key.pem"), message.path().to_owned()])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl dgst: {}", output.status);
        output.stdout
    }
}

/// Turns `repository:NAME:pull,push` into what is granted: everything to the user, pulling to anybody else.
fn grant(scope: &str, known: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> = actions.split(',').filter(|action| known || *action == "pull").collect();
    Some(json!({ "type": kind, "name": name, "actions": actions }))
}
