// Goroutines on several threads: channels, a wait group, garbage to collect. They do not end while there is a file "hold".
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
		digest := chain(task)
		for task+4 >= tasks && held() {
			digest = chain(task)
		}
		done <- result{task, digest}
	}
}

func chain(task int) [32]byte {
	digest := sha256.Sum256([]byte(fmt.Sprint(task)))
	for step := 0; step < 20000; step++ {
		text := append([]byte(nil), digest[:]...)
		digest = sha256.Sum256(text)
	}
	return digest
}

func held() bool {
	_, err := os.Stat("hold")
	return err == nil
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
