# Recorded from ipvsadm 1.31 on Linux 6.1.
# Names of services for marks, and before a protocol is known.
ipvsadm -A -f 5
ipvsadm -a -f 5 -r 10.0.0.1:http -m
ipvsadm -a -f 5 -r 10.0.0.2:69 -m
ipvsadm -a -f 5 -r 10.0.0.3:tftp -m
ipvsadm -a -f 5 -r 10.0.0.4:53 -m
ipvsadm -A -t 10.9.0.1:80
ipvsadm -a -r 10.0.0.17:http -m -t 10.9.0.1:80
ipvsadm -a -r 10.0.0.17:domain -m -t 10.9.0.1:80
ipvsadm -A -t [::1]:80
ipvsadm -A --sctp-service 127.0.0.1:80
ipvsadm -A -u 127.0.0.1:80
ipvsadm -A -u 127.0.0.1:69
ipvsadm -L
ipvsadm -S
ipvsadm -L --stats
