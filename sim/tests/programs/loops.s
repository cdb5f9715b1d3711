; Nested loops: every A times every B, operands and result advanced by bytes.
; design: fp8-16x16
; set: array.rows=4
; set: array.cols=4
.data 0x0 e4m3fn =-3 =0 =1 =0 =4 =-3 =3 =0 =-3 =-4 =0 =-4
.more =-4 =-3 =2 =-3 =-4 =-1 =-1 =2 =-2 =-3 =3 =-2
.more =-1 =-2 =-3 =2 =2 =4 =0 =4 =0 =3 =1 =-3
.data 0x100 e4m3fn =-1 =1 =-4 =-4 =-4 =0 =1 =3 =2 =1 =2 =-3
.more =-3 =1 =3 =-3 =0 =-1 =4 =3 =1 =0 =-2 =4
.more =-1 =0 =-1 =-1 =1 =-3 =0 =-3 =3 =-3 =1 =-1
.more =2 =0 =-4 =1
.expect 0x200 fp16 =5 =-6 =9 =13 =15 =2 =-8 =-34 =-19 =-10 =15 =-7
.more =4 =-12 =-4 =-3 =-3 =9 =-15 =4 =4 =-6 =4 =4
.more =8 =1 =-4 =10 =0 =11 =17 =-13 =4 =0 =10 =-4
.more =-2 =14 =21 =18 =14 =-14 =-8 =-3 =8 =-1 =-9 =17
.more =-13 =12 =-6 =8 =6 =-22 =8 =0 =-10 =16 =-12 =12
.more =-11 =6 =5 =5 =-1 =-14 =6 =0 =16 =8 =11 =0
.more =9 =-5 =-3 =-3 =15 =-5 =-5 =6 =-2 =4 =-8 =-4
.more =-10 =3 =-12 =0 =12 =-11
format f0, e4m3fn
format f1, fp16
tensor t0, f1, dram, 0x200, 3, 5
tensor t1, f0, dram, 0, 3, 4
loop 3, 7
  tensor t2, f0, dram, 0x100, 4, 5
  loop 2, 3
    gemm t0, t1, t2
    advance t0, 30
    advance t2, 20
  advance t1, 12
  advance t2, -40
; Nothing of these is executed.
loop 0, 1
  gemm t0, t1, t1
halt
gemm t0, t1, t1
