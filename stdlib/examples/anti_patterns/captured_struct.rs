//! A closure that captures a whole struct for one of its fields. In Erlang all of it is copied into the new process;
//! here it is moved or cloned, and lives for as long as the process does, with whatever it holds: a body, a socket, a
//! lease. (A closure that names only `request.remote_ip` captures only that; one that hands `&request` on has all of
//! it.)

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use otp_vm::{Context, Pid, Timeout};

use crate::Failure;

#[derive(Clone)]
struct Request {
    remote_ip: IpAddr,
    body: Arc<[u8]>,
}

/// Says that it begins, and is busy for long.
async fn log(mut cx: Context, owner: Pid, remote_ip: IpAddr) {
    cx.send(owner, &remote_ip.to_string()).expect("a term");
    cx.receive().await;
}

fn wrong(cx: &Context, request: &Request) -> Result<Pid, Failure> {
    let (owner, request) = (cx.pid(), request.clone());
    let remote_ip = |request: &Request| request.remote_ip;
    Ok(cx.spawn(async move |cx: Context| log(cx, owner, remote_ip(&request)).await)?)
}

fn right(cx: &Context, request: &Request) -> Result<Pid, Failure> {
    let (owner, remote_ip) = (cx.pid(), request.remote_ip);
    Ok(cx.spawn(async move |cx: Context| log(cx, owner, remote_ip).await)?)
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    let mut held = Vec::new();
    for start in [wrong, right] {
        let request = Request {
            remote_ip: Ipv4Addr::LOCALHOST.into(),
            body: vec![0; 1_000_000].into(),
        };
        let body = Arc::downgrade(&request.body);
        start(&cx, &request)?;
        let ip = cx.receive_as::<String>(Timeout::Infinity).await;
        assert_eq!(ip.as_deref(), Some("127.0.0.1"));
        // Answered, and forgotten: but by whom?
        drop(request);
        held.push(body.upgrade().map_or(0, |body| body.len()));
    }
    assert_eq!(held, [1_000_000, 0]);
    Ok(format!("{} bytes are held for one address", held[0]))
}
