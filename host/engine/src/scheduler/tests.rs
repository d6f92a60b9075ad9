use super::*;

fn scheduler(max_num_seqs: u32, max_waiting: u32) -> Scheduler {
    let number = |n| NonZeroU32::new(n).unwrap();
    Scheduler::new(number(max_num_seqs), max_waiting, number(1), false)
}

/// `n` sequences that may have an adapter.
fn try_enqueue(scheduler: &mut Scheduler, n: u32, adapter: Option<u32>) -> Result<SmallVec<[SequenceId; 1]>, NoRoom> {
    let adapter = adapter
        .map(|id| Arc::new(Adapter { id, generation: id, name: id.to_string(), path: "/p".into(), base_model: None }));
    scheduler.enqueue(n, adapter.as_ref(), 0, n)
}

fn enqueue(scheduler: &mut Scheduler, adapter: Option<u32>) -> SequenceId {
    try_enqueue(scheduler, 1, adapter).unwrap()[0]
}

fn schedule(scheduler: &mut Scheduler) -> Vec<SequenceId> {
    scheduler.schedule(|_| Ok(0)).into_iter().map(|admitted| admitted.id).collect()
}

#[test]
fn admits_in_order_of_arrival_as_places_free_up() {
    let mut scheduler = scheduler(2, 10);
    let ids: Vec<_> = (0..4).flat_map(|_| try_enqueue(&mut scheduler, 1, None).unwrap()).collect();
    assert_eq!(schedule(&mut scheduler), ids[..2]);
    scheduler.remove(ids[1]);
    assert_eq!(schedule(&mut scheduler), ids[2..3]);
    assert_eq!((scheduler.n_running(), scheduler.n_waiting()), (2, 1));
}

#[test]
fn the_lowest_priority_comes_first_and_makes_way_last() {
    let mut scheduler = scheduler(2, 10);
    let [a, b, c, d] = [5, 1, 5, -1].map(|priority| scheduler.enqueue(1, None, priority, 1).unwrap()[0]);
    assert_eq!(schedule(&mut scheduler), [d, b]);
    assert_eq!(scheduler.last_running(), Some(b));
    scheduler.remove(d);
    assert_eq!(schedule(&mut scheduler), [a]);
    assert_eq!(scheduler.last_running(), Some(a));
    scheduler.preempt(a);
    scheduler.remove(b);
    assert_eq!(schedule(&mut scheduler), [a, c]);
}

#[test]
fn a_request_that_does_not_fit_is_refused_whole() {
    let mut scheduler = scheduler(2, 1);
    assert_eq!(try_enqueue(&mut scheduler, 4, None), Err(NoRoom { waiting: 0 }));
    assert_eq!(try_enqueue(&mut scheduler, 3, None).unwrap().len(), 3);
    schedule(&mut scheduler);
    assert_eq!(try_enqueue(&mut scheduler, 1, None), Err(NoRoom { waiting: 1 }));
}

#[test]
fn with_no_waiting_room_only_free_places_count() {
    let mut scheduler = scheduler(1, 0);
    try_enqueue(&mut scheduler, 1, None).unwrap();
    schedule(&mut scheduler);
    assert_eq!(try_enqueue(&mut scheduler, 1, None), Err(NoRoom { waiting: 0 }));
}

#[test]
fn a_waiting_sequence_can_leave() {
    let mut scheduler = scheduler(1, 10);
    let ids: Vec<_> = (0..3).flat_map(|_| try_enqueue(&mut scheduler, 1, None).unwrap()).collect();
    schedule(&mut scheduler);
    scheduler.remove(ids[1]);
    scheduler.remove(ids[0]);
    assert_eq!(schedule(&mut scheduler), ids[2..]);
}

#[test]
fn one_adapter_runs_while_others_and_only_they_wait() {
    let mut scheduler = scheduler(3, 10);
    let [a1, b, a2, base] = [Some(1), Some(2), Some(1), None].map(|adapter| enqueue(&mut scheduler, adapter));
    assert_eq!(schedule(&mut scheduler), [a1, a2, base]);
    scheduler.remove(a1);
    assert_eq!(schedule(&mut scheduler), []);
    scheduler.remove(a2);
    assert_eq!(schedule(&mut scheduler), [b]);
    assert!(scheduler.runs_adapter(2) && !scheduler.runs_adapter(1));
}

#[test]
fn a_steady_flow_for_one_adapter_starves_no_other() {
    let mut scheduler = scheduler(2, 1000);
    let mut running = vec![enqueue(&mut scheduler, Some(1)), enqueue(&mut scheduler, Some(1))];
    schedule(&mut scheduler);
    let patient = enqueue(&mut scheduler, Some(2));
    for step in 0.. {
        enqueue(&mut scheduler, Some(1));
        scheduler.remove(running.remove(0));
        let admitted = schedule(&mut scheduler);
        running.extend(&admitted);
        if admitted.contains(&patient) {
            break;
        }
        assert!(step < 2 * MAX_OVERTAKEN, "still waiting");
    }
}

#[test]
fn a_sequence_that_waits_for_an_adapter_takes_up_the_waiting_room() {
    let mut scheduler = scheduler(5, 1);
    enqueue(&mut scheduler, Some(1));
    schedule(&mut scheduler);
    enqueue(&mut scheduler, Some(2));
    schedule(&mut scheduler);
    assert_eq!(try_enqueue(&mut scheduler, 1, Some(3)), Err(NoRoom { waiting: 1 }));
    assert!(try_enqueue(&mut scheduler, 1, None).is_ok(), "a place is free for it");
}

#[test]
fn a_sequence_that_finds_no_memory_is_not_overtaken() {
    let mut scheduler = scheduler(3, 1);
    let [large, small] = [None, None].map(|adapter| enqueue(&mut scheduler, adapter));
    assert_eq!(scheduler.schedule(|id| (id != large).then_some(0).ok_or(Stays::Memory)), []);
    assert!(try_enqueue(&mut scheduler, 1, None).is_err(), "it would have to wait too");
    assert_eq!(schedule(&mut scheduler), [large, small]);
}

#[test]
fn the_sequence_that_was_admitted_last_is_preempted_first_and_comes_back_first() {
    let mut scheduler = scheduler(3, 0);
    let ids = [None, Some(1), None].map(|adapter| {
        let id = enqueue(&mut scheduler, adapter);
        schedule(&mut scheduler);
        id
    });
    for _ in 0..2 {
        scheduler.preempt(scheduler.last_running().unwrap());
    }
    assert!(!scheduler.runs_adapter(1) && scheduler.runs(ids[0]));
    assert_eq!(schedule(&mut scheduler), ids[1..]);
}
