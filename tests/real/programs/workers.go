// Goroutines on several threads: channels, a wait group, garbage to collect.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sync"
)

const tasks = 1000

type result struct {
	task   int
	digest [32]byte
}

func work(todo <-chan int, done chan<- result) {
	for task := range todo {
		digest := sha256.Sum256([]byte(fmt.Sprint(task)))
		for step := 0; step < 20000; step++ {
			text := append([]byte(nil), digest[:]...)
			digest = sha256.Sum256(text)
		}
		done <- result{task, digest}
	}
}

func main() {
	todo, done := make(chan int), make(chan result, 8)
	var workers sync.WaitGroup
	for i := 0; i < 4; i++ {
		workers.Add(1)
		go func() { defer workers.Done(); work(todo, done) }()
	}
	go func() {
		for task := 0; task < tasks; task++ {
			todo <- task
		}
		close(todo)
		workers.Wait()
		close(done)
	}()
	digests := make([][32]byte, tasks)
	count := 0
	for one := range done {
		digests[one.task] = one.digest
		count++
		os.WriteFile("progress", []byte(fmt.Sprint(count)), 0644)
	}
	for task, digest := range digests {
		fmt.Printf("%d %x\n", task, digest)
	}
}
