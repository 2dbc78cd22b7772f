// Go's gRPC client against grpc.health.v1, until its standard input ends; see client.py, which does
// the same.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	channels = 4
	service  = "websample"
	pause    = 10 * time.Millisecond
	patience = 10 * time.Second
)

// What came of it.
type result struct {
	sync.Mutex `json:"-"`
	Calls      int            `json:"calls"`
	Failed     map[string]int `json:"failed"`
	Streams    int            `json:"streams"`
	Ended      map[string]int `json:"ended"`
}

func client() health.HealthClient {
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure(), grpc.WithDisableRetry())
	if err != nil {
		log.Fatal(err)
	}
	return health.NewHealthClient(connection)
}

func outcome(err error) string {
	end := status.Convert(err)
	return end.Code().String() + ": " + end.Message()
}

func call(stop context.Context, client health.HealthClient, seen *result) {
	for stop.Err() == nil {
		// Not of stop: what has begun is to be answered.
		within, cancel := context.WithTimeout(context.Background(), patience)
		_, err := client.Check(within, &health.HealthCheckRequest{Service: service})
		cancel()
		seen.Lock()
		seen.Calls++
		if err != nil {
			seen.Failed[outcome(err)]++
		}
		seen.Unlock()
		time.Sleep(pause)
	}
}

func hold(stop context.Context, client health.HealthClient, seen *result) {
	for stop.Err() == nil {
		stream, err := client.Watch(stop, &health.HealthCheckRequest{Service: service})
		for err == nil {
			_, err = stream.Recv()
		}
		seen.Lock()
		if stop.Err() == nil {
			seen.Streams++
			if err == io.EOF {
				seen.Ended["OK: without an error"]++
			} else {
				seen.Ended[outcome(err)]++
			}
		}
		seen.Unlock()
		time.Sleep(pause)
	}
}

func main() {
	seen := &result{Failed: map[string]int{}, Ended: map[string]int{}}
	stop, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := 0; i < channels; i++ {
		all.Add(2)
		go func() { defer all.Done(); call(stop, client(), seen) }()
		go func() { defer all.Done(); hold(stop, client(), seen) }()
	}
	io.Copy(io.Discard, os.Stdin)
	end()
	all.Wait()
	json.NewEncoder(os.Stdout).Encode(seen)
}
