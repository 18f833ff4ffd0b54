// Threads of Rust's standard library: channels, a mutex with a condition variable, heap data. They do not end while there
// is a file "hold".
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::{fs, thread};

const TASKS: u64 = 2000;

fn hash(seed: u64) -> u64 {
    let mut table: BTreeMap<u64, u64> = BTreeMap::new();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for step in 0..30_000u64 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *table.entry(state % 1009).or_insert(step) ^= state;
    }
    table.iter().fold(seed, |sum, (key, value)| sum.wrapping_mul(31).wrapping_add(key ^ value))
}

fn main() {
    let next = Arc::new(Mutex::new(0u64));
    let started = Arc::new((Mutex::new(0), Condvar::new()));
    let (sender, receiver) = mpsc::channel::<(u64, u64)>();
    for _ in 0..3 {
        let (next, started, sender) = (next.clone(), started.clone(), sender.clone());
        thread::spawn(move || {
            *started.0.lock().unwrap() += 1;
            started.1.notify_one();
            loop {
                let task = {
                    let mut next = next.lock().unwrap();
                    *next += 1;
                    *next
                };
                if task > TASKS {
                    break;
                }
                let mut value = hash(task);
                while task + 3 > TASKS && Path::new("hold").exists() {
                    value = hash(task);
                }
                sender.send((task, value)).unwrap();
            }
        });
    }
    drop(sender);
    let mut count = started.0.lock().unwrap();
    while *count < 3 {
        count = started.1.wait(count).unwrap();
    }
    drop(count);
    let mut results = BTreeMap::new();
    for (task, value) in receiver {
        results.insert(task, value);
        fs::write("progress", results.len().to_string()).unwrap();
    }
    for (task, value) in results {
        println!("{task} {value:016x}");
    }
}
