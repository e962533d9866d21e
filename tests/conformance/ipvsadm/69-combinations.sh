# Recorded from ipvsadm 1.31 on Linux 6.1.
# Every option with every command, and what is said first.
for o in -n -c "-t 10.9.0.1:80" "-s rr" "-p 10" "-M 255.255.255.0" "-r 10.0.0.11" -g "-w 1" "-x 1" "-y 1" "--mcast-interface eth0" --timeout --daemon --stats --rate --thresholds --persistent-conn --nosort --sort "--syncid 5" --exact -o "--pe sip" "-b flag-1" -6 "--sync-maxlen 1000" "--mcast-group 224.0.0.9" "--mcast-port 5" "--mcast-ttl 3" --tun-info "--tun-type gue" "--tun-port 5" --tun-nocsum --tun-csum --tun-remcsum "-f 1" -i -m; do echo "$o:"; ipvsadm -A -u 10.9.0.1:9 $o; ipvsadm -D -u 10.9.0.1:9 2>/dev/null; ipvsadm -D -t 10.9.0.1:80 2>/dev/null; done
for o in -n -c "-t 10.9.0.1:80" "-s rr" "-p 10" "-r 10.0.0.11" -g "-w 1" "-x 1" "--mcast-interface eth0" --timeout --daemon --stats --rate --thresholds --persistent-conn --nosort "--syncid 5" --exact -o "--pe sip" "-b flag-1" -6 "--mcast-ttl 3" --tun-info "--tun-type gue" --tun-csum "-f 1"; do echo "$o:"; ipvsadm -D $o; ipvsadm -D -u 10.9.0.1:9 $o; ipvsadm -C $o; ipvsadm -Z $o; ipvsadm -Z -u 10.9.0.1:9 $o; done
for o in -n -c "-t 10.9.0.1:80" "-s rr" "-p 10" "-M 255.255.255.0" -g "-w 1" "-y 1" "--mcast-group 224.0.0.9" --timeout --daemon --stats --rate --thresholds --persistent-conn --nosort "--syncid 5" --exact -o "--pe sip" "-b flag-1" "--mcast-port 5" --tun-info "--tun-type gue" --tun-nocsum; do echo "$o:"; ipvsadm -d $o; ipvsadm -d -u 10.9.0.1:9 -r 10.0.0.1 $o; ipvsadm -a -u 10.9.0.1:9 $o; ipvsadm -e -u 10.9.0.1:9 -r 10.0.0.1 $o; done
for o in -n -c "-t 10.9.0.1:80" "-s rr" "-p 10" "-r 10.0.0.11" -g "-w 1" "--mcast-interface eth0" --timeout --daemon --stats --rate --thresholds --persistent-conn --nosort --sort "--syncid 5" --exact -o "--pe sip" "-b flag-1" -6 --tun-info "--tun-type gue" --tun-csum "-f 1"; do echo "$o:"; ipvsadm -R $o < /dev/null; ipvsadm -S $o; ipvsadm --set 900 120 300 $o; ipvsadm --stop-daemon nosuch $o; ipvsadm -L $o; done
for o in "-s rr" "-p 10" "-M 255.255.255.0" "-r 10.0.0.11" -g "-w 1" "-x 1" "-y 1" "--mcast-interface eth0" -o "--pe sip" "-b flag-1" "--sync-maxlen 1000" "--mcast-group 224.0.0.9" "--mcast-port 5" "--mcast-ttl 3" "--tun-type gue" "--tun-port 5" --tun-nocsum -i; do ipvsadm -L $o; ipvsadm -Lc $o; done
ipvsadm -a -r 10.0.0.1
ipvsadm -a -w 5
ipvsadm -a -n
ipvsadm -A -n -c
ipvsadm -A -c -n
ipvsadm -d -n -w 5 -t 10.9.0.1:80
ipvsadm -L -t 10.9.0.1:80 -c --timeout
ipvsadm -L --timeout --daemon -c
ipvsadm -L -c --timeout --stats
ipvsadm -L -c -s rr
ipvsadm -A -t 10.9.0.1:80 -s nosuch -w x
ipvsadm -A -t nonsense!:80 -w x
ipvsadm -A -w x -t nonsense!:80
ipvsadm -A -t 10.9.0.1:0 -o -b nosuch
ipvsadm -A -t 10.9.0.1:80 -o -b nosuch
ipvsadm -A -t 10.9.0.1:0 -w 5
ipvsadm -a -t 10.9.0.1:80 -r fd00::1 --tun-csum
ipvsadm -a -t 10.9.0.1:80 -r fd00::1 -s rr
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.1 -i --tun-csum --tun-type ipip extra
ipvsadm --stop-daemon master
ipvsadm --stop-daemon backup
ipvsadm --start-daemon master --syncid -1
ipvsadm --start-daemon master --syncid abc
ipvsadm --start-daemon master --sync-maxlen 0
ipvsadm --start-daemon master --sync-maxlen 65508
ipvsadm --start-daemon master --sync-maxlen abc
ipvsadm --start-daemon master --mcast-port 0
ipvsadm --start-daemon master --mcast-port 65536
ipvsadm --start-daemon master --mcast-ttl 0
ipvsadm --start-daemon master --mcast-ttl 256
ipvsadm --start-daemon master --mcast-group 10.0.0.1
ipvsadm --start-daemon master --mcast-group fd00::1
ipvsadm --start-daemon master --mcast-group nonsense
ipvsadm --start-daemon master -t 10.9.0.1:80
ipvsadm --start-daemon master -n
ipvsadm --stop-daemon master --syncid 5
ipvsadm --stop-daemon master -n
ipvsadm -L --daemon
