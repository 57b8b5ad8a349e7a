//! Applications on the command line: how `otp-vm run` configures `kv`. Cases of OTP's `application_SUITE` that are about
//! command lines are here, under their own names; a file descriptor is a file of `/dev/fd`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a command of `bash`, in which `$VM` is the binary, until it says where it listens: then it is told to end, and
/// must do so in order. Else gives its exit code, and what it said.
fn listens(script: &str) -> Result<String, (Option<i32>, String)> {
    let mut child = Command::new("bash")
        .args(["-c", &format!("exec {script}")])
        .env("VM", env!("CARGO_BIN_EXE_otp-vm"))
        .env("RUST_LOG", "off")
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash runs");
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    output.read_line(&mut line).expect("text");
    if let Some(address) = line.trim().strip_prefix("listening on ") {
        let told = Command::new("kill").arg(child.id().to_string()).status();
        assert!(told.expect("kill runs").success());
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{script}");
        let (ip, _port) = address.rsplit_once(':').expect("an address");
        return Ok(ip.to_owned());
    }
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("text");
    Err((child.wait().expect("it ends").code(), said))
}

/// As [`listens`], of what must fail as a wrong command line; gives the one sentence that it says.
fn refused(script: &str) -> String {
    match listens(script) {
        Err((Some(2), said)) => {
            let said = said.trim().to_owned();
            assert_eq!(said.lines().count(), 1, "{said}");
            said
        }
        other => panic!("{script}: {other:?}"),
    }
}

fn write(directory: &str, name: &str, text: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn config(directory: &str, number: u8) -> PathBuf {
    let text = format!("[kv]\nlisten = '127.0.0.{number}:0'\n");
    write(directory, &format!("{number}.toml"), &text)
}

#[test]
fn configfd_bash() {
    let (first, second) = (config("configfd_bash", 2), config("configfd_bash", 3));
    let (first, second) = (first.display(), second.display());
    let second_ip = Ok("127.0.0.3".to_owned());
    let first_ip = Ok("127.0.0.2".to_owned());
    // One, of a number of its own, or standard input.
    assert_eq!(
        listens(&format!("$VM run --config /dev/fd/3 kv 3< {first}")),
        first_ip
    );
    assert_eq!(
        listens(&format!("$VM run --config /dev/stdin kv < {first}")),
        first_ip
    );
    // Two: the later one overrides.
    let both = format!("$VM run --config /dev/fd/4 --config /dev/fd/5 kv 4< {first} 5< {second}");
    assert_eq!(listens(&both), second_ip);
    // It may name files: by their whole paths, or from where the program runs.
    for path in [first.to_string(), "configfd_bash/2.toml".to_owned()] {
        let including =
            format!("$VM run --config /dev/fd/3 kv 3< <(echo \"include = ['{path}']\")");
        assert_eq!(listens(&including), first_ip, "{path}");
    }
    // None at all, one that is no file to read, and one without an end.
    let said = refused("$VM run --config /dev/fd/77 kv");
    assert!(said.contains("/dev/fd/77 can't be read"), "{said}");
    let said = refused("$VM run --config /dev/fd/3 kv 3< .");
    assert!(said.contains("/dev/fd/3 can't be read"), "{said}");
    let said = refused("$VM run --config /dev/fd/3 kv 3< <(yes '#')");
    assert!(said.contains("longer than"), "{said}");
}

#[test]
fn configfd_port_program() {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_otp-vm"))
        .args(["run", "--config", "/dev/stdin", "kv"])
        .env("RUST_LOG", "off")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It waits for the end of its input.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"[kv]\nlisten = '127.0.0.4:0'\n").unwrap();
    drop(input);
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on 127.0.0.4:"), "{line}");
    let told = Command::new("kill").arg(child.id().to_string()).status();
    assert!(told.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn otp_3002() {
    // A value that is none: nothing is started.
    let said = refused("$VM run --set 'kv.dummy=\"missing ' kv");
    assert!(
        said.starts_with("otp-vm: \"kv.dummy=\\\"missing \" sets nothing"),
        "{said}"
    );
}

#[test]
fn the_command_line_overrides_the_files() {
    let second = config("overrides", 2);
    let second = second.display();
    assert_eq!(
        listens(&format!("$VM run --config {second} kv")),
        Ok("127.0.0.2".into())
    );
    let set = format!("$VM run --config {second} --set kv.listen=127.0.0.3:0 kv");
    assert_eq!(listens(&set), Ok("127.0.0.3".into()));
    let option = format!("$VM run --config {second} --set kv.acceptors=1 kv --listen 127.0.0.5:0");
    assert_eq!(listens(&option), Ok("127.0.0.5".into()));
}

#[test]
fn a_wrong_configuration_is_exit_code_2_with_one_sentence() {
    for (set, expected) in [
        ("kv", "give APP.KEY=VALUE"),
        (
            "kv.acceptors=0",
            "the configuration of kv: invalid value '0' for '--acceptors",
        ),
        (
            "kv.acceptors=many",
            "the configuration of kv: invalid value 'many'",
        ),
        (
            "kv.acceptorz=1",
            "the configuration sets kv.acceptorz, which kv does not have",
        ),
        (
            "kv.chaos_exceed=7",
            "the configuration sets kv.chaos_exceed to 7: give true or false",
        ),
        (
            "kernel.shutdown_timeout=soon",
            "the parameter shutdown_timeout can't be",
        ),
    ] {
        let said = refused(&format!("$VM run --set '{set}' kv"));
        assert!(said.contains(expected), "{set}: {said}");
    }
    let missing = refused("$VM run --config no_such_file.toml kv");
    assert!(
        missing.starts_with("otp-vm: the configuration no_such_file.toml can't be read"),
        "{missing}"
    );
    for (text, expected) in [
        ("[kv]\nlisten = \n", "wrong.toml, line 2: "),
        (
            "listen = 1\n",
            "listen is of type integer: each application is a table",
        ),
        (
            "[kv]\nlisten = 'nowhere'\n",
            "the configuration of kv: invalid value 'nowhere'",
        ),
    ] {
        let path = write("wrong", "wrong.toml", text);
        let said = refused(&format!("$VM run --config {} kv", path.display()));
        assert!(said.contains(expected), "{text}: {said}");
    }
}
