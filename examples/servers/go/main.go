// A small server that ends as Go's servers do: http.Server.Shutdown on SIGTERM.
//
// usage: server [-listen ADDRESS] [-unready-for TIME] [-leave-for TIME]
//
// GET / answers with the version, GET /sleep/N after N seconds, POST /echo with the body.
// -unready-for makes it fail its readiness probe for that long before it shuts down; -leave-for
// makes it answer with Connection: close meanwhile, so that clients leave by themselves.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	longestSleep = 60
	largestBody  = 1 << 20
)

func main() {
	listen := flag.String("listen", "127.0.0.1:5000", "`address` to listen on")
	unreadyFor := flag.Duration("unready-for", 0, "`time` to be unready for before the shutdown")
	leaveFor := flag.Duration("leave-for", 0, "`time` to send clients away for before the shutdown")
	flag.Parse()

	var leaving atomic.Bool
	server := &http.Server{
		Addr:              *listen,
		Handler:           routes(os.Getenv("VERSION"), &leaving),
		ReadHeaderTimeout: 10 * time.Second,
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)

	finished := make(chan error, 1)
	go func() {
		<-terminated
		leaving.Store(true)
		time.Sleep(*unreadyFor)
		if *leaveFor > 0 {
			server.SetKeepAlivesEnabled(false)
			time.Sleep(*leaveFor)
		}
		// Closes the listener and idle connections, and waits for what is in flight.
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		finished <- server.Shutdown(ctx)
	}()

	// ListenAndServe returns as soon as Shutdown is called, long before it has returned.
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-finished; err != nil {
		log.Fatal(err)
	}
}

func routes(version string, leaving *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter) {
		w.Header().Set("X-Websample-Version", version)
		fmt.Fprintln(w, version)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		answer(w)
	})
	mux.HandleFunc("/sleep/", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseFloat(strings.TrimPrefix(r.URL.Path, "/sleep/"), 64)
		if err != nil || !(seconds >= 0 && seconds <= longestSleep) {
			http.Error(w, "use /sleep/0 to /sleep/60", http.StatusBadRequest)
			return
		}
		time.Sleep(time.Duration(seconds * float64(time.Second)))
		answer(w)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "use POST", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Websample-Version", version)
		w.Write(body)
	})
	mux.HandleFunc("/readiness", func(w http.ResponseWriter, r *http.Request) {
		if leaving.Load() {
			http.Error(w, "leaving", http.StatusServiceUnavailable)
			return
		}
		answer(w)
	})
	return mux
}
