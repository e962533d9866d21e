# Recorded from ipvsadm 1.31 on Linux 6.1.
# Scheduler flags, engines and names of schedulers.
ipvsadm -A -t 10.9.0.1:1 -s sh -b ''
ipvsadm -A -t 10.9.0.1:2 -s sh -b sh-port,
ipvsadm -A -t 10.9.0.1:3 -s sh -b ,sh-port
ipvsadm -A -t 10.9.0.1:4 -s sh -b sh-port,,sh-fallback
ipvsadm -A -t 10.9.0.1:5 -s sh -b 'sh-port, sh-fallback'
ipvsadm -A -t 10.9.0.1:6 -s sh -b flag-1,flag-2
ipvsadm -A -t 10.9.0.1:7 -s mh -b flag-1
ipvsadm -A -t 10.9.0.1:8 -s mh -b flag-3
ipvsadm -A -t 10.9.0.1:9 -s rr -b sh-port
ipvsadm -A -t 10.9.0.1:10 -s sh -b mh-port
ipvsadm -A -t 10.9.0.1:11 -s sh -b sh-po
ipvsadm -A -t 10.9.0.1:12 -s sh -b sh-portx
ipvsadm -A -t 10.9.0.1:13 -s sh -b flag-4
ipvsadm -A -t 10.9.0.1:14 -b flag-2
ipvsadm -A -t 10.9.0.1:15 -b sh-port -s sh
ipvsadm -A -t 10.9.0.1:16 -s sh -b sh-port -b sh-fallback
ipvsadm -A -t 10.9.0.1:17 -s sh -b sh-port,nosuch,sh-fallback
ipvsadm -A -t 10.9.0.1:18 -s ''
ipvsadm -A -t 10.9.0.1:19 -s RR
ipvsadm -A -t 10.9.0.1:20 -s averyveryverylongname
ipvsadm -A -t 10.9.0.1:21 -s shx -b sh-port
ipvsadm -A -t 10.9.0.1:22 -s sh -s rr
ipvsadm -A -t 10.9.0.1:23 --pe ''
ipvsadm -A -t 10.9.0.1:24 --pe averyveryverylongname
ipvsadm -A -t 10.9.0.1:25 --pe sip
ipvsadm -A -t 10.9.0.1:26 --pe sip -p
ipvsadm -A -u 10.9.0.1:27 --pe sip -p -o -M 255.255.0.0
ipvsadm -A -u 10.9.0.1:28 --pe sip -o
ipvsadm -A -t [fd00::1]:29 --pe sip -p -M 64 -s mh -b mh-port
ipvsadm -A -f 30 --pe sip -p
ipvsadm -A -f 31 -6 --pe sip -p -s sh -b sh-fallback
ipvsadm -A -u 10.9.0.1:0 -o
ipvsadm -A -u 10.9.0.1:0 -o -p
ipvsadm -A --sctp-service 10.9.0.1:33 -o
ipvsadm -A --sctp-service 10.9.0.1:0
ipvsadm -A --sctp-service 10.9.0.1:0 -p
ipvsadm -A -f 33 -o
ipvsadm -E -u 10.9.0.1:28 -s rr -o
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -L
