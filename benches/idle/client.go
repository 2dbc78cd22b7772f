// Go's client, each connection used every so many seconds: URL CONNECTIONS THINK SECONDS METHOD.
// Prints the number of requests and of those that were lost.
package main

import (
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	url, method := os.Args[1], os.Args[5]
	connections, think := int(number(os.Args[2])), time.Duration(number(os.Args[3])*float64(time.Second))
	end := time.Now().Add(time.Duration(number(os.Args[4]) * float64(time.Second)))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var requests, lost atomic.Int64
	ask := func() bool {
		var body io.Reader
		at := strings.Replace(url, "/echo", "/", 1)
		if method == "POST" {
			body, at = strings.NewReader(strings.Repeat("x", 100)), url
		}
		request, err := http.NewRequest(method, at, body)
		if err != nil {
			panic(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err == nil && response.StatusCode == 201
	}
	var all sync.WaitGroup
	for range connections {
		all.Add(1)
		go func() {
			defer all.Done()
			time.Sleep(time.Duration(rand.Float64() * float64(think)))
			for time.Now().Before(end) {
				requests.Add(1)
				if !ask() {
					lost.Add(1)
				}
				time.Sleep(think)
			}
		}()
	}
	all.Wait()
	fmt.Println(requests.Load(), lost.Load())
}
