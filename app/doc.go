// Package app wires the program together and runs its process.
//
//	New       config.yaml, overridden by file and environment → App        app.go
//	Open      data_dir, secrets, signing keys, database       → Resources  resources.go
//	          (SQLite, MySQL or MariaDB), traces, schema,                  secrets.go, clock.go
//	          vault, clock, event log
//	apply     limiters; NewServices: the rules and the SMS    → Services   reload.go, services.go,
//	          providers log, webhook, aliyun, tencent, twilio, sns;        providers.go
//	          NewHandlers: controllers, middleware, router    → Handlers   handlers.go
//	listen    two listeners, work in the background                        server.go
//	reload    file or SIGHUP: config.Load again; a changed cold key        reload.go
//	          is refused; then apply
//	drain     SIGTERM: answer what was accepted, close the traces          server.go
//	Close     database, after the background has ended                     resources.go
//
// Resources outlive reloads; each reload makes new services and handlers. The command serve
// runs all steps. user, audit and secrets use App.Join instead of App.Open: Join creates
// nothing. keys, migrate and check-config use App.JoinKeys, Migrate and Check.
package app
