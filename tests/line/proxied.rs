//! The proxy does what it says: without that, a test behind it proves nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use crate::common::proxy::{Cut, Ends, Flow, How, Line, Proxy, Stop, When};

/// A client's socket and a server's, with a line between them.
fn joined(line: Line) -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap().to_string(), move |_| line);
    let client = TcpStream::connect(proxy.address()).unwrap();
    let (server, _) = listener.accept().unwrap();
    for socket in [&client, &server] {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    (proxy, client, server)
}

/// All that comes, and how it ended.
fn read_all(socket: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut came = Vec::new();
    let end = socket.read_to_end(&mut came).err().map(|error| error.kind());
    (came, end)
}

/// Whether nothing comes for a while, not even an end.
fn is_silent(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    matches!(socket.read(&mut [0]), Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn a_calm_line_passes_everything_and_each_end() {
    for flow in [Flow::default(), Flow::bytewise(), Flow::at_rate(20_000)] {
        let (proxy, mut client, mut server) = joined(Line { to_server: flow, to_client: flow, cut: None });
        let sent: Vec<u8> = (0..=255).cycle().take(2_000).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut server), (sent.clone(), None));
        server.write_all(&sent[..500]).unwrap();
        drop(server);
        assert_eq!(read_all(&mut client), (sent[..500].to_vec(), None));
        assert_eq!((proxy.connections(), proxy.cuts(), proxy.to_server(), proxy.to_client()), (1, 0, 2_000, 500));
    }
}

#[test]
fn a_cut_comes_after_exactly_so_many_bytes_at_the_ends_that_it_names() {
    let kinds = [(How::Reset, Some(ErrorKind::ConnectionReset)), (How::Close, None)];
    for (how, expected) in kinds {
        for ends in [Ends::Both, Ends::Client, Ends::Server] {
            let cut = Some(Cut { when: When::ToServer(7), how, ends });
            let (proxy, mut client, mut server) = joined(Line { cut, ..Line::default() });
            client.write_all(b"1234567890").unwrap();
            if ends == Ends::Client {
                server.read_exact(&mut [0; 7]).unwrap();
                assert!(is_silent(&mut server), "{how:?} {ends:?}");
            } else {
                assert_eq!(read_all(&mut server), (b"1234567".to_vec(), expected), "{how:?} {ends:?}");
            }
            if ends == Ends::Server {
                assert!(is_silent(&mut client), "{how:?} {ends:?}");
            } else {
                // A close with bytes unread resets.
                assert!(read_all(&mut client).0.is_empty());
            }
            assert_eq!((proxy.cuts(), proxy.to_server()), (1, 7));
        }
    }
}

#[test]
fn a_cut_comes_by_time_by_answers_and_at_once() {
    let (_proxy, mut client, mut server) = joined(Line::cut(When::After(Duration::from_millis(20)), How::Reset));
    assert_eq!(read_all(&mut server).1, Some(ErrorKind::ConnectionReset));
    assert_eq!(read_all(&mut client).1, Some(ErrorKind::ConnectionReset));
    let (_proxy, mut client, mut server) = joined(Line::cut(When::ToClient(3), How::Reset));
    server.write_all(b"12345").unwrap();
    assert_eq!(read_all(&mut client), (b"123".to_vec(), Some(ErrorKind::ConnectionReset)));
    let (proxy, mut client, mut server) = joined(Line::default());
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
    proxy.cut_now(How::Close);
    assert_eq!(read_all(&mut client), (Vec::new(), None));
    assert_eq!(read_all(&mut server), (Vec::new(), None));
}

#[test]
fn a_line_that_stops_passes_nothing_on_not_even_the_end() {
    for stop in [Stop::Stall, Stop::Swallow] {
        let (proxy, mut client, mut server) = joined(Line { to_server: Flow::stopping(4, stop), ..Line::default() });
        // More than sockets hold: only who swallows takes it all.
        client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let taken = client.write_all(&vec![b'x'; 64 << 20]).is_ok();
        assert_eq!(taken, stop == Stop::Swallow);
        drop(client);
        server.read_exact(&mut [0; 4]).unwrap();
        assert!(is_silent(&mut server), "{stop:?}");
        assert_eq!(proxy.to_server(), 4);
    }
}

#[tokio::test]
async fn a_reset_at_one_end_reaches_the_other_and_new_connections_can_lead_elsewhere() {
    let (proxy, client, mut server) = joined(Line::default());
    client.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(client).unwrap().set_zero_linger().unwrap();
    assert_eq!(read_all(&mut server).1, Some(ErrorKind::ConnectionReset));
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.lead_to(elsewhere.local_addr().unwrap().to_string());
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let (mut server, _) = elsewhere.accept().unwrap();
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
    drop((server, elsewhere));
    // Nobody listens there any more.
    assert_eq!(read_all(&mut TcpStream::connect(proxy.address()).unwrap()).1, Some(ErrorKind::ConnectionReset));
}
