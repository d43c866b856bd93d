use super::*;
use proptest::prelude::*;

fn auth(byte: u8) -> Auth {
    Auth::secret([byte; 32]).unwrap()
}

fn client(auth: Option<Auth>) -> ClientHandshake {
    ClientHandshake::new([1; 32], auth, Vec::new(), 1_000, "")
}

fn server(secrets: Vec<Auth>) -> ServerHandshake {
    ServerHandshake::new([2; 32], secrets, Access::Admin, Vec::new(), 2_000)
}

/// Lets both sides talk to the end. The frames that each sent are left in `said`.
fn talk(
    client: &mut ClientHandshake,
    server: &mut ServerHandshake,
    said: &mut Vec<Vec<u8>>,
) -> (Result<Welcomed, HandshakeError>, Result<Access, HandshakeError>) {
    let mut to_server = Some(client.hello().to_vec());
    let mut server_end = None;
    loop {
        let Some(frame) = to_server.take() else {
            panic!("both wait");
        };
        said.push(frame.clone());
        let mut to_client = Vec::new();
        match server.handle_frame(&frame) {
            Ok(ServerStep::Send(frame)) => to_client.push(frame),
            Ok(ServerStep::Decide(first, admission)) => {
                to_client.extend(first);
                server_end = Some(Ok(admission.access));
                to_client.push(admission.admit("app"));
            }
            Err(error) => {
                to_client.push(server.refusal(&error));
                server_end = Some(Err(error));
            }
        }
        for frame in to_client {
            said.push(frame.clone());
            match client.handle_frame(&frame) {
                Ok(ClientStep::Send(frame)) => to_server = Some(frame),
                Ok(ClientStep::Wait) => {}
                Ok(ClientStep::Admitted(welcomed)) => {
                    return (Ok(welcomed), server_end.unwrap());
                }
                Err(error) => {
                    let server_end = server_end.unwrap_or(Err(HandshakeError::Malformed));
                    return (Err(error), server_end);
                }
            }
        }
    }
}

#[test]
fn without_secrets_the_transport_alone_decides() {
    let (client_end, server_end) = talk(&mut client(None), &mut server(vec![]), &mut vec![]);
    let welcomed = client_end.unwrap();
    assert_eq!(welcomed.access, Access::Admin);
    assert_eq!(welcomed.path, "app");
    assert_eq!(welcomed.frame, 1_000, "the smaller limit holds");
    assert_eq!(server_end, Ok(Access::Admin));
}

#[test]
fn each_secret_has_its_own_level() {
    let secrets = vec![auth(1), auth(2).with_access(Access::Observer)];
    let (client_end, server_end) =
        talk(&mut client(Some(auth(2))), &mut server(secrets), &mut vec![]);
    assert_eq!(client_end.unwrap().access, Access::Observer);
    assert_eq!(server_end, Ok(Access::Observer));
}

#[test]
fn a_wrong_secret_gets_one_generic_error() {
    let (client_end, server_end) =
        talk(&mut client(Some(auth(9))), &mut server(vec![auth(1)]), &mut vec![]);
    assert_eq!(client_end, Err(HandshakeError::Refused(Refusal::Unauthenticated)));
    assert_eq!(server_end, Err(HandshakeError::BadClientProof));
}

#[test]
fn a_server_without_the_secret_is_not_believed() {
    let (client_end, _) = talk(&mut client(Some(auth(1))), &mut server(vec![]), &mut vec![]);
    assert_eq!(client_end, Err(HandshakeError::BadServerProof));

    // One that demands a proof, cannot check it, and admits the client nevertheless.
    let mut client = client(Some(auth(1)));
    let mut impostor = server(vec![auth(7)]);
    let Ok(ServerStep::Send(hello)) = impostor.handle_frame(client.hello()) else {
        panic!("it demands a proof");
    };
    let Ok(ClientStep::Send(proof)) = client.handle_frame(&hello) else {
        panic!("the client proves");
    };
    let proof = decode::<ClientProof>(&proof).unwrap().proof;
    for proof in [None, Some(proof)] {
        let verdict = body(&Verdict::Admitted { access: Access::Admin, path: "app".into(), proof });
        let mut client = ClientHandshake {
            state: ClientState::Waiting { server_hello: hello.clone(), frame: 100 },
            auth: client.auth.clone(),
            binding: vec![],
            frame: 100,
            hello: client.hello.clone(),
        };
        let end = client.handle_frame(&verdict);
        assert_eq!(end.unwrap_err(), HandshakeError::BadServerProof);
    }
}

/// Lets a client and a server that knows its secret come to where the server decides.
fn on_the_verge() -> (ClientHandshake, Admission) {
    let mut client = client(Some(auth(1)));
    let mut server = server(vec![auth(1)]);
    let Ok(ServerStep::Send(hello)) = server.handle_frame(client.hello()) else {
        panic!("it demands a proof");
    };
    let Ok(ClientStep::Send(proof)) = client.handle_frame(&hello) else {
        panic!("the client proves");
    };
    let Ok(ServerStep::Decide(None, admission)) = server.handle_frame(&proof) else {
        panic!("it is convinced");
    };
    (client, admission)
}

#[test]
fn an_end_is_believed_of_a_server_that_knows_the_secret() {
    let (mut client, admission) = on_the_verge();
    let said = admission.refuse_at_end();
    assert_eq!(said.len(), 2);
    assert!(matches!(client.handle_frame(&said[0]), Ok(ClientStep::Wait)));
    let end = client.handle_frame(&said[1]).unwrap_err();
    assert_eq!(end, HandshakeError::Refused(Refusal::ShuttingDown));
    assert!(client.handle_frame(&said[1]).is_err(), "it is over");
}

#[test]
fn an_end_is_not_believed_of_who_does_not_know_the_secret() {
    let hello = ServerHandshake::refuse_hello(Refusal::ShuttingDown);
    let end = client(Some(auth(1))).handle_frame(&hello).unwrap_err();
    assert_eq!(end, HandshakeError::BadServerProof);
    let end = client(None).handle_frame(&hello).unwrap_err();
    assert_eq!(end, HandshakeError::Refused(Refusal::ShuttingDown), "who has none believes it");

    // One that listens to the server, and has another thing said than it did.
    let (mut client, admission) = on_the_verge();
    let admitted = admission.proofs.unwrap().admitted;
    let refused = Admission::refuse(Refusal::ShuttingDown);
    assert!(matches!(client.handle_frame(&refused), Ok(ClientStep::Wait)));
    let end = client.handle_frame(&body(&EndProof { proof: admitted })).unwrap_err();
    assert_eq!(end, HandshakeError::BadServerProof);
}

#[test]
fn a_replayed_handshake_is_refused() {
    let mut said = Vec::new();
    let (first, _) = talk(&mut client(Some(auth(1))), &mut server(vec![auth(1)]), &mut said);
    assert!(first.is_ok());
    let mut later = ServerHandshake::new([3; 32], vec![auth(1)], Access::Admin, Vec::new(), 2_000);
    assert!(matches!(later.handle_frame(&said[0]), Ok(ServerStep::Send(_))));
    let end = later.handle_frame(&said[2]);
    assert_eq!(end.unwrap_err(), HandshakeError::BadClientProof);
}

#[test]
fn a_proof_of_one_tls_connection_is_none_in_another() {
    let mut client = ClientHandshake::new([1; 32], Some(auth(1)), vec![1], 1_000, "");
    let mut server = ServerHandshake::new([2; 32], vec![auth(1)], Access::Admin, vec![2], 1_000);
    let (client_end, _) = talk(&mut client, &mut server, &mut vec![]);
    assert_eq!(client_end, Err(HandshakeError::Refused(Refusal::Unauthenticated)));
}

#[test]
fn another_version_and_another_protocol_are_told_so() {
    let mut hello = client(None).hello().to_vec();
    hello[8..12].copy_from_slice(&[0, 7, 0, 9]);
    let mut old = server(vec![]);
    let error = old.handle_frame(&hello).unwrap_err();
    assert_eq!(error, HandshakeError::Version { min: 7, max: 9 });
    let told = client(None).handle_frame(&old.refusal(&error));
    let Versions { min, max } = VERSIONS;
    let refusal = Refusal::Version { min, max };
    assert_eq!(told.unwrap_err(), HandshakeError::Refused(refusal));

    let error = server(vec![]).handle_frame(b"GET / HTTP/1.1\r\n").unwrap_err();
    assert_eq!(error, HandshakeError::Foreign);
}

#[test]
fn a_client_without_the_demanded_secret_says_so() {
    let (end, _) = talk(&mut client(None), &mut server(vec![auth(1)]), &mut vec![]);
    assert_eq!(end, Err(HandshakeError::SecretDemanded));
}

#[test]
fn every_cut_of_every_frame_is_refused_and_nothing_is_said_twice() {
    let mut said = Vec::new();
    let (end, _) = talk(&mut client(Some(auth(1))), &mut server(vec![auth(1)]), &mut said);
    assert!(end.is_ok());
    for cut in 0..said[0].len() {
        assert!(server(vec![]).handle_frame(&said[0][..cut]).is_err());
    }
    for cut in 0..said[1].len() {
        let mut client = client(Some(auth(1)));
        assert!(client.handle_frame(&said[1][..cut]).is_err());
        assert!(client.handle_frame(&said[1]).is_err(), "it is over");
    }
    for cut in 0..said[2].len() {
        let mut server = server(vec![auth(1)]);
        assert!(server.handle_frame(&said[0]).is_ok());
        assert!(server.handle_frame(&said[2][..cut]).is_err());
        assert!(server.handle_frame(&said[2]).is_err(), "it is over");
    }
}

proptest! {
    #[test]
    fn garbage_admits_nobody(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..4)) {
        let mut server = server(vec![auth(1)]);
        let mut client = client(Some(auth(1)));
        for frame in &frames {
            prop_assert!(!matches!(server.handle_frame(frame), Ok(ServerStep::Decide(..))));
            prop_assert!(!matches!(client.handle_frame(frame), Ok(ClientStep::Admitted(_))));
        }
    }
}

#[test]
fn the_longest_path_fits_into_either_side_s_frame() {
    let path = "n".repeat(MAX_PATH);
    let hello = |path: &str| {
        let client = ClientHandshake::new([1; 32], None, Vec::new(), usize::MAX, path);
        client.hello().len()
    };
    assert_eq!(hello(&path), MAX_HANDSHAKE_FRAME);
    let transcript = Transcript { client_hello: &[], server_hello: &[], binding: &[] };
    let proof = Some(auth(7).prove(Side::Server, &transcript));
    let admitted = body(&Verdict::Admitted { access: Access::Admin, path, proof });
    assert!(admitted.len() < MAX_HANDSHAKE_FRAME);
}
