module websample.example/server

go 1.19
