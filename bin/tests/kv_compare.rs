//! `kv` answers as a real redis-server does.

mod kv_support;

use kv_support::{Client, Random, Redis, Server, Value, has_program};

/// Random commands; a few thousand, as many as a second or two allows.
const COMMANDS: usize = 6000;

/// Seeds that are always run: the first, and those that found something.
const SEEDS: [u64; 4] = [1, 2, 3, 20_240_607];

/// Commands whose reply has no order.
const UNORDERED: [&str; 4] = ["SMEMBERS", "KEYS", "HGETALL", "SPOP"];

/// A command at random. `step` grows: two ends that differ by the time between two commands alone would be compared
/// differently by two servers.
fn command(random: &mut Random, step: usize) -> Vec<String> {
    const KEYS: [&str; 8] = ["a", "b", "c", "list", "set", "hash", "", "number"];
    const VALUES: [&str; 10] = [
        "1",
        "x",
        "",
        "-5",
        "9223372036854775807",
        "hello world",
        "a",
        "b",
        "0010",
        "3.5",
    ];
    const NUMBERS: [&str; 9] = [
        "0",
        "1",
        "-1",
        "2",
        "5",
        "-3",
        "100",
        "9223372036854775807",
        "abc",
    ];
    // Ends that are long over or far away: whatever ends while the test runs would end at two moments.
    const TIMES: [&str; 6] = ["0", "-1", "-300", "100000000", "9223372036854775807", "abc"];
    let forms: &[&str] = &[
        "SET K V",
        "SET K V",
        "SET K V NX",
        "SET K V XX",
        "SET K V GET",
        "SET K V KEEPTTL",
        "SET K V EX 1000",
        "SET K V PX 100000",
        "SET K V NX GET",
        "SET K V EX T",
        "SET K V NX XX",
        "SET K V BOGUS",
        "SET K",
        "SET K V EX",
        "SET K V KEEPTTL EX 10",
        "SET K V EX 10 PX 10",
        "set K V ex 1000 get",
        "GET K",
        "GET K",
        "GETSET K V",
        "GETDEL K",
        "APPEND K V",
        "STRLEN K",
        "MGET K K K",
        "MSET K V K V",
        "MSET K V K",
        "DEL K",
        "DEL K K K",
        "EXISTS K",
        "EXISTS K K",
        "TYPE K",
        "KEYS *",
        "KEYS ?",
        "KEYS [a-c]*",
        "KEYS l*t",
        "INCR K",
        "DECR K",
        "INCRBY K N",
        "DECRBY K N",
        "INCR number",
        "INCRBY number N",
        "DECRBY number N",
        "EXPIRE K 1000",
        "EXPIRE K T",
        "PEXPIRE K 1000000",
        "PEXPIRE K T NX",
        "EXPIRE K U GT",
        "EXPIRE K 900 LT",
        "EXPIRE K 500 XX",
        "EXPIRE K 5 NX XX",
        "EXPIRE K 5 GT LT",
        "EXPIRE K 5 FOO",
        "TTL K",
        "PERSIST K",
        "LPUSH K V",
        "RPUSH K V V V",
        "LPUSH list V V",
        "RPUSH list V",
        "LPOP list",
        "RPOP list",
        "LPOP K",
        "RPOP K N",
        "LPOP list N",
        "LLEN K",
        "LRANGE list N N",
        "LRANGE K 0 -1",
        "LRANGE list 0 -1",
        "SADD K V",
        "SADD set V V V",
        "SREM set V V",
        "SREM K V",
        "SPOP set 100",
        "SPOP K 0",
        "SPOP K N N",
        "SPOP nothing",
        "SPOP nothing 3",
        "SMEMBERS K",
        "SMEMBERS set",
        "SISMEMBER set V",
        "SISMEMBER K V",
        "SCARD K",
        "HSET K V V",
        "HSET hash V V V V",
        "HSET hash V V V",
        "HGET hash V",
        "HGET K V",
        "HDEL hash V V",
        "HDEL K V",
        "HGETALL hash",
        "HGETALL K",
        "HLEN K",
        "HINCRBY hash V N",
        "HINCRBY K V N",
        "DBSIZE",
        "ECHO V",
        "PING",
        "PING V",
        "PING V V",
        "SELECT 0",
        "SELECT N",
        "NOSUCH V V",
        "GET",
        "GET K K",
        "FLUSHALL BOGUS",
        "PUBLISH V V",
        "UNSUBSCRIBE",
        "CLIENT GETNAME",
        "CLIENT NOSUCH",
        "CONFIG NOSUCH",
        "CLIENT ID V",
    ];
    // A flush now and then, so that the types of keys change.
    let form = if random.below(150) == 0 {
        "FLUSHALL"
    } else {
        *random.pick(forms)
    };
    form.split(' ')
        .map(|word| match word {
            "K" => (*random.pick(&KEYS)).to_owned(),
            "V" => (*random.pick(&VALUES)).to_owned(),
            "N" => (*random.pick(&NUMBERS)).to_owned(),
            "T" => (*random.pick(&TIMES)).to_owned(),
            "U" => (10_000 + step).to_string(),
            word => word.to_owned(),
        })
        .collect()
}

/// A reply as it is to be compared.
fn comparable(command: &[String], reply: Value) -> Value {
    let name = command[0].to_ascii_uppercase();
    match reply {
        // Seconds are rounded, and a boundary may lie between the two servers' looks at the clock.
        Value::Integer(left) if name == "TTL" => Value::Integer(left.min(0)),
        Value::Array(Some(values)) if name == "HGETALL" => {
            let mut pairs: Vec<Value> = values
                .chunks(2)
                .map(|pair| Value::Array(Some(pair.to_vec())))
                .collect();
            pairs.sort();
            Value::Array(Some(pairs))
        }
        Value::Array(Some(mut values)) if UNORDERED.contains(&name.as_str()) => {
            values.sort();
            Value::Array(Some(values))
        }
        other => other,
    }
}

#[test]
fn random_commands_get_the_replies_of_redis() {
    if !has_program("redis-server") {
        return;
    }
    let redis = Redis::start();
    for seed in SEEDS {
        let server = Server::start(&[]);
        let mut ours = server.connect();
        let mut theirs = Client::connect(redis.address).expect("redis accepts");
        assert_eq!(theirs.run("FLUSHALL"), Value::ok());
        let mut random = Random(seed);
        for step in 0..COMMANDS {
            let command = command(&mut random, step);
            let our_reply = comparable(&command, ours.command(&command).expect("kv answers"));
            let their_reply =
                comparable(&command, theirs.command(&command).expect("redis answers"));
            assert_eq!(
                our_reply, their_reply,
                "seed {seed}, step {step}: {command:?} (ours, then Redis's)"
            );
        }
        assert!(server.terminate().success());
    }
}

#[test]
fn pipelined_random_commands_get_the_replies_of_redis() {
    if !has_program("redis-server") {
        return;
    }
    let redis = Redis::start();
    let server = Server::start(&[]);
    let mut ours = server.connect();
    let mut theirs = Client::connect(redis.address).expect("redis accepts");
    let mut random = Random(7);
    for round in 0..100 {
        let commands: Vec<Vec<String>> = (0..40)
            .map(|number| command(&mut random, round * 40 + number))
            .collect();
        let bytes: Vec<u8> = commands
            .iter()
            .flat_map(|command| kv_support::request(command))
            .collect();
        ours.send(&bytes).expect("kv reads");
        theirs.send(&bytes).expect("redis reads");
        for command in &commands {
            let our_reply = comparable(command, ours.reply().expect("kv answers"));
            let their_reply = comparable(command, theirs.reply().expect("redis answers"));
            assert_eq!(
                our_reply, their_reply,
                "round {round}: {command:?} (ours, then Redis's)"
            );
        }
    }
}

/// A reply's shape: kinds and lengths of fields, not what they say.
fn shape(value: &Value) -> &'static str {
    match value {
        Value::Simple(_) => "simple",
        Value::Error(_) => "error",
        Value::Integer(_) => "integer",
        Value::Bulk(_) => "bulk",
        Value::Array(_) => "array",
    }
}

#[test]
fn what_the_server_tells_about_itself_has_the_shape_of_redis() {
    if !has_program("redis-server") {
        return;
    }
    let redis = Redis::start();
    let server = Server::start(&[]);
    let mut ours = server.connect();
    let mut theirs = Client::connect(redis.address).expect("redis accepts");
    for command in [
        "TIME",
        "INFO",
        "INFO server",
        "COMMAND COUNT",
        "COMMAND INFO get set",
        "COMMAND INFO nosuch",
        "COMMAND DOCS get",
        "CONFIG GET save",
        "CONFIG GET maxclients",
        "CONFIG GET nosuch",
        "CONFIG RESETSTAT",
        "CLIENT ID",
        "CLIENT SETNAME me",
        "CLIENT GETNAME",
        "CLIENT INFO",
        "CLIENT HELP",
        "CONFIG HELP",
        "SCAN 0",
        "SCAN 0 COUNT 5 MATCH *",
    ] {
        let (our_reply, their_reply) = (ours.run(command), theirs.run(command));
        assert_eq!(
            shape(&our_reply),
            shape(&their_reply),
            "{command}: {our_reply:?}, {their_reply:?}"
        );
        if let (Value::Array(Some(ours)), Value::Array(Some(theirs))) = (&our_reply, &their_reply)
            && !command.ends_with("HELP")
        {
            let shapes = |values: &[Value]| values.iter().map(shape).collect::<Vec<_>>();
            assert_eq!(shapes(ours), shapes(theirs), "{command}");
        }
    }
    let (our_get, their_get) = (ours.run("COMMAND INFO get"), theirs.run("COMMAND INFO get"));
    let fields = |value: &Value| value.elements()[0].elements()[..2].to_vec();
    assert_eq!(fields(&our_get), fields(&their_get));
    assert_eq!(
        our_get.elements()[0].elements().len(),
        their_get.elements()[0].elements().len()
    );
}
