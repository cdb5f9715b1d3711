; Reductions along rows, columns and both; the scalar goes on as an operand.
; design: fp8-16x16
.data 0x0 bf16 =8 =-9 =-3 =7 =5 =9 =-9 =-9 =-2 =-1 =-3 =-4
.more =0 =-5 =8 =-3 =-1 =0 =9 =-1 =5 =-4 =8 =2
.more =6 =4 =-6 =-3 =9 =3 =-3 =0 =-6 =-9 =-6
.expect 0x100 fp32 =12 =-3 =-6 =10 =8 =-7 =-18
.expect 0x120 fp32 =8 =-24 =17 =7 =-12
.expect 0x140 fp32 =-4
.expect 0x150 bf16 =9 =8 =2 =7 =9 =9 =5
.expect 0x160 bf16 =9 =9 =9 =8 =9
.expect 0x180 bf16 =9
.expect 0x200 fp32 =-1 =-18 =-12 =-2 =-4 =0 =-18 =-18 =-11 =-10 =-12 =-13
.more =-9 =-14 =-1 =-12 =-10 =-9 =0 =-10 =-4 =-13 =-1 =-7
.more =-3 =-5 =-15 =-12 =0 =-6 =-12 =-9 =-15 =-18 =-15
format f0, bf16
format f1, fp32
tensor t0, f0, dram, 0, 5, 7
tensor t1, f1, dram, 0x100, 1, 7
rsum t1, t0
tensor t2, f1, dram, 0x120, 5, 1
rsum t2, t0
tensor t3, f1, dram, 0x140, 1, 1
rsum t3, t0
tensor t4, f0, dram, 0x150, 1, 7
rmax t4, t0
tensor t5, f0, dram, 0x160, 5, 1
ramax t5, t0
tensor t6, f0, dram, 0x180, 1, 1
ramax t6, t0
tensor t7, f1, dram, 0x200, 5, 7
vsub t7, t0, t6
