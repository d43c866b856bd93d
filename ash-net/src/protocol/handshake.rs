//! How two peers agree on a version and on who they are, before anything else is said.
//!
//! ```text
//! client                                    server
//! magic, versions, nonce, limits  ───►
//!                                 ◄───      magic, versions, nonce, limits, what it demands
//! proof, if one is demanded       ───►
//!                                 ◄───      admitted (with its own proof), or refused
//!                                 ◄───      proof, if it says that the supervisor has ended
//! ```
//!
//! Invariant: a client that has a secret believes that its supervisor has ended only if the peer
//! has proved to know that secret.

use crate::access::Access;
use crate::auth::{Auth, Proof, Side, Transcript};
use crate::protocol::hello::{
    ClientHello, ClientProof, Demand, EndProof, Nonce, ServerHello, VERSIONS, Verdict, Versions,
    body, clamp, preamble, read_preamble,
};
use crate::protocol::{Refusal, decode};

/// How large a frame may be before the handshake has ended, in bytes.
pub(crate) const MAX_HANDSHAKE_FRAME: usize = 4 * 1024;

/// How long the path of a supervisor may be, in bytes.
///
/// Its name, which is all of it at the root, has to fit into a client's hello: with the magic and
/// the versions (12 bytes), the nonce (32), how large a frame may be (5 at most) and its own length
/// (2). In the answer there is room for more.
pub(crate) const MAX_PATH: usize = MAX_HANDSHAKE_FRAME - (12 + 32 + 5 + 2);

/// Why a handshake failed, on either side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the peer does not speak this protocol")]
    Foreign,
    #[error("the peer speaks versions {min} to {max}, this side {} to {}", VERSIONS.min, VERSIONS.max)]
    Version { min: u16, max: u16 },
    #[error("the peer's message makes no sense")]
    Malformed,
    #[error("the client did not prove that it knows a secret")]
    BadClientProof,
    #[error("the server did not prove that it knows the secret")]
    BadServerProof,
    #[error("the server demands a secret")]
    SecretDemanded,
    #[error("the server refused the connection")]
    Refused(Refusal),
}

/// The client's side of a handshake.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    auth: Option<Auth>,
    binding: Vec<u8>,
    frame: usize,
    hello: Vec<u8>,
    state: ClientState,
}

#[derive(Debug)]
enum ClientState {
    Greeting,
    Waiting {
        server_hello: Vec<u8>,
        frame: usize,
    },
    /// It has been told that the supervisor has ended, and waits for a proof that the server says
    /// so.
    Doubting {
        server_hello: Vec<u8>,
    },
    Over,
}

/// What the client does next.
#[derive(Debug)]
pub(crate) enum ClientStep {
    /// It sends this and waits for an answer.
    Send(Vec<u8>),
    /// It waits for one more frame.
    Wait,
    /// It has been admitted.
    Admitted(Welcomed),
}

/// What a client knows once it has been admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcomed {
    pub(crate) access: Access,
    pub(crate) path: String,
    /// How large a frame may be that it sends.
    pub(crate) frame: usize,
}

impl ClientHandshake {
    /// Begins a handshake; the first frame to send is [`hello`](Self::hello).
    ///
    /// `binding` is what both sides derived from the keys of TLS, empty without it.
    pub(crate) fn new(
        nonce: Nonce,
        auth: Option<Auth>,
        binding: Vec<u8>,
        frame: usize,
        supervisor: &str,
    ) -> Self {
        let mut hello = preamble();
        hello.extend(body(&ClientHello {
            nonce,
            frame: clamp(frame),
            supervisor: supervisor.into(),
        }));
        Self { auth, binding, frame, hello, state: ClientState::Greeting }
    }

    pub(crate) fn hello(&self) -> &[u8] {
        &self.hello
    }

    /// Takes a frame in. After an error the connection cannot be used.
    pub(crate) fn handle_frame(&mut self, frame: &[u8]) -> Result<ClientStep, HandshakeError> {
        match std::mem::replace(&mut self.state, ClientState::Over) {
            ClientState::Greeting => self.on_hello(frame),
            ClientState::Waiting { server_hello, frame: limit } => {
                self.on_verdict(frame, server_hello, limit)
            }
            ClientState::Doubting { server_hello } => Err(self.on_end(frame, &server_hello)),
            ClientState::Over => Err(HandshakeError::Malformed),
        }
    }

    fn on_hello(&mut self, frame: &[u8]) -> Result<ClientStep, HandshakeError> {
        let (versions, rest) = read_preamble(frame).ok_or(HandshakeError::Foreign)?;
        let hello = decode::<ServerHello>(rest);
        if let Some(ServerHello::Refused(refusal)) = hello {
            if self.auth.is_some() && refusal == Refusal::ShuttingDown {
                return Err(HandshakeError::BadServerProof);
            }
            return Err(HandshakeError::Refused(refusal));
        }
        let Versions { min, max } = versions;
        if !VERSIONS.overlaps(versions) {
            return Err(HandshakeError::Version { min, max });
        }
        let Some(ServerHello::Hello { frame: limit, demand, .. }) = hello else {
            return Err(HandshakeError::Malformed);
        };
        let limit = self.frame.min(limit as usize);
        let server_hello = frame.to_vec();
        let step = match (demand, &self.auth) {
            // A client that has a secret demands that the server knows it, too.
            (Demand::Nothing, Some(_)) => return Err(HandshakeError::BadServerProof),
            (Demand::Proof, None) => return Err(HandshakeError::SecretDemanded),
            (Demand::Nothing, None) => ClientStep::Wait,
            (Demand::Proof, Some(auth)) => {
                let proof = auth.prove(Side::Client, &self.transcript(&server_hello));
                ClientStep::Send(body(&ClientProof { proof }))
            }
        };
        self.state = ClientState::Waiting { server_hello, frame: limit };
        Ok(step)
    }

    fn on_verdict(
        &mut self,
        frame: &[u8],
        server_hello: Vec<u8>,
        limit: usize,
    ) -> Result<ClientStep, HandshakeError> {
        let verdict = decode::<Verdict>(frame).ok_or(HandshakeError::Malformed)?;
        let (access, path, proof) = match verdict {
            Verdict::Refused(Refusal::ShuttingDown) if self.auth.is_some() => {
                self.state = ClientState::Doubting { server_hello };
                return Ok(ClientStep::Wait);
            }
            Verdict::Refused(refusal) => return Err(HandshakeError::Refused(refusal)),
            Verdict::Admitted { access, path, proof } => (access, path, proof),
        };
        if let Some(auth) = &self.auth {
            let transcript = self.transcript(&server_hello);
            let proof = proof.ok_or(HandshakeError::BadServerProof)?;
            if !auth.verifies(Side::Server, &transcript, &proof) {
                return Err(HandshakeError::BadServerProof);
            }
        }
        Ok(ClientStep::Admitted(Welcomed { access, path, frame: limit }))
    }

    /// Returns why the client is not admitted: because the supervisor has ended, if it is the server
    /// that says so.
    fn on_end(&self, frame: &[u8], server_hello: &[u8]) -> HandshakeError {
        let is_proven = self.auth.as_ref().zip(decode::<EndProof>(frame)).is_some_and(
            |(auth, EndProof { proof })| {
                auth.verifies(Side::Ended, &self.transcript(server_hello), &proof)
            },
        );
        if is_proven {
            HandshakeError::Refused(Refusal::ShuttingDown)
        } else {
            HandshakeError::BadServerProof
        }
    }

    fn transcript<'a>(&'a self, server_hello: &'a [u8]) -> Transcript<'a> {
        Transcript { client_hello: &self.hello, server_hello, binding: &self.binding }
    }
}

/// The server's side of a handshake.
#[derive(Debug)]
pub(crate) struct ServerHandshake {
    nonce: Nonce,
    /// The secrets of which the client must know one; none means that nothing is demanded.
    secrets: Vec<Auth>,
    /// What the client may do at most, as far as the transport tells.
    access: Access,
    binding: Vec<u8>,
    frame: usize,
    state: ServerState,
}

#[derive(Debug)]
enum ServerState {
    Greeting,
    Proving { client: ClientHello, client_hello: Vec<u8>, server_hello: Vec<u8> },
    Over,
}

/// What the server does next.
#[derive(Debug)]
pub(crate) enum ServerStep {
    /// It sends this and waits for the client.
    Send(Vec<u8>),
    /// It sends the first, if there is one, and decides about the client.
    Decide(Option<Vec<u8>>, Admission),
}

/// A client that has shown who it is.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) access: Access,
    /// The supervisor that it asked for.
    pub(crate) supervisor: String,
    /// How large a frame may be that is sent to it.
    pub(crate) frame: usize,
    proofs: Option<Proofs>,
}

/// Proves that the server knows the secret of its client, for either decision.
#[derive(Debug)]
struct Proofs {
    admitted: Proof,
    ended: Proof,
}

impl Admission {
    /// Returns the frame that admits the client to the supervisor at `path`.
    pub(crate) fn admit(self, path: &str) -> Vec<u8> {
        let proof = self.proofs.map(|proofs| proofs.admitted);
        body(&Verdict::Admitted { access: self.access, path: path.into(), proof })
    }

    /// Returns the frames that refuse it because the supervisor has ended.
    pub(crate) fn refuse_at_end(self) -> Vec<Vec<u8>> {
        let proof = self.proofs.map(|proofs| body(&EndProof { proof: proofs.ended }));
        [Some(Self::refuse(Refusal::ShuttingDown)), proof].into_iter().flatten().collect()
    }

    /// Returns the frame that refuses it after all.
    pub(crate) fn refuse(refusal: Refusal) -> Vec<u8> {
        body(&Verdict::Refused(refusal))
    }
}

impl ServerHandshake {
    pub(crate) const fn new(
        nonce: Nonce,
        secrets: Vec<Auth>,
        access: Access,
        binding: Vec<u8>,
        frame: usize,
    ) -> Self {
        Self { nonce, secrets, access, binding, frame, state: ServerState::Greeting }
    }

    /// Returns the frame that refuses a client before it has said anything.
    pub(crate) fn refuse_hello(refusal: Refusal) -> Vec<u8> {
        let mut bytes = preamble();
        bytes.extend(body(&ServerHello::Refused(refusal)));
        bytes
    }

    /// Returns the frame that answers a client which failed with `error`.
    pub(crate) fn refusal(&self, error: &HandshakeError) -> Vec<u8> {
        match (error, &self.state) {
            (HandshakeError::Version { .. } | HandshakeError::Foreign, _) => {
                let Versions { min, max } = VERSIONS;
                Self::refuse_hello(Refusal::Version { min, max })
            }
            (HandshakeError::BadClientProof, _) => Admission::refuse(Refusal::Unauthenticated),
            (_, _) => Self::refuse_hello(Refusal::Unauthenticated),
        }
    }

    /// Takes a frame in. After an error the connection cannot be used.
    pub(crate) fn handle_frame(&mut self, frame: &[u8]) -> Result<ServerStep, HandshakeError> {
        match std::mem::replace(&mut self.state, ServerState::Over) {
            ServerState::Greeting => self.on_hello(frame),
            ServerState::Proving { client, client_hello, server_hello } => {
                self.on_proof(frame, client, &client_hello, &server_hello)
            }
            ServerState::Over => Err(HandshakeError::Malformed),
        }
    }

    fn on_hello(&mut self, frame: &[u8]) -> Result<ServerStep, HandshakeError> {
        let (versions, rest) = read_preamble(frame).ok_or(HandshakeError::Foreign)?;
        let Versions { min, max } = versions;
        if !VERSIONS.overlaps(versions) {
            return Err(HandshakeError::Version { min, max });
        }
        let client = decode::<ClientHello>(rest).ok_or(HandshakeError::Malformed)?;
        let demand = if self.secrets.is_empty() { Demand::Nothing } else { Demand::Proof };
        let mut hello = preamble();
        hello.extend(body(&ServerHello::Hello {
            nonce: self.nonce,
            frame: clamp(self.frame),
            demand,
        }));
        Ok(match demand {
            Demand::Nothing => {
                let admission = self.admission(client, self.access, None);
                ServerStep::Decide(Some(hello), admission)
            }
            Demand::Proof => {
                self.state = ServerState::Proving {
                    client,
                    client_hello: frame.to_vec(),
                    server_hello: hello.clone(),
                };
                ServerStep::Send(hello)
            }
        })
    }

    fn on_proof(
        &self,
        frame: &[u8],
        client: ClientHello,
        client_hello: &[u8],
        server_hello: &[u8],
    ) -> Result<ServerStep, HandshakeError> {
        let transcript = Transcript { client_hello, server_hello, binding: &self.binding };
        let proof = decode::<ClientProof>(frame).ok_or(HandshakeError::BadClientProof)?;
        let known =
            self.secrets.iter().find(|auth| auth.verifies(Side::Client, &transcript, &proof.proof));
        let auth = known.ok_or(HandshakeError::BadClientProof)?;
        let access = self.access.min(auth.access());
        let [admitted, ended] =
            [Side::Server, Side::Ended].map(|side| auth.prove(side, &transcript));
        let admission = self.admission(client, access, Some(Proofs { admitted, ended }));
        Ok(ServerStep::Decide(None, admission))
    }

    fn admission(&self, client: ClientHello, access: Access, proofs: Option<Proofs>) -> Admission {
        Admission {
            access,
            supervisor: client.supervisor,
            frame: self.frame.min(client.frame as usize),
            proofs,
        }
    }
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
